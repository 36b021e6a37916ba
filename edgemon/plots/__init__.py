"""A recording as one picture. matplotlib is imported in here only, and only when a picture is drawn."""
