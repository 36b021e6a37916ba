void main() { if (outside_cloth()) discard; }
