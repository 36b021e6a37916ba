uniform float label; uniform float object; uniform vec4 tape_a; uniform vec4 tape_b; uniform vec4 eyes_at; uniform vec4 mouth_at;
out vec4 ids;
bool on_tape(vec4 where) {
  vec2 d = v_canon.xy - where.xy; float c = cos(where.w), s = sin(where.w); d = mat2(c, -s, s, c) * d;
  return where.z > 0.001 && v_canon.z > 0.2 && abs(d.x) < where.z && abs(d.y) < where.z * 0.55;
}
void main() {
  if (outside_cloth()) discard;
  float tag = label, part = 0.0;
  if (material == 0) {
    float patch_ = step(0.5, v_extra.x) * step(v_extra.y, 0.5);
    tag = patch_ > 0.5 ? 1.0 : 2.0; part = patch_;
    vec2 at = vec2(abs(v_canon.x), v_canon.y);
    if (patch_ > 0.5 && at.x < 0.33 && at.y > 0.13 && at.y < 0.34) part = 4.0;
    if (patch_ > 0.5 && at.x > 0.08 && at.x < 0.36 && at.y > -0.36 && at.y < -0.02) part = 5.0;
    if (length((v_canon.xy - eyes_at.xy) / vec2(0.13, 0.08)) < 1.0 && patch_ > 0.5) part = 2.0;
    if (length((v_canon.xy - eyes_at.zw) / vec2(0.13, 0.08)) < 1.0 && patch_ > 0.5) part = 2.0;
    if (length((v_canon.xy - mouth_at.xy) / mouth_at.zw) < 1.0 && patch_ > 0.5) part = 3.0;
    if (on_tape(tape_a) || on_tape(tape_b)) tag = 4.0;
  } else if (material == 1) part = 2.0; else if (material == 2) part = 3.0;
  ids = vec4(tag, object, part, v_depth);
}
