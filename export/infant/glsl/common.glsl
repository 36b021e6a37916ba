#version 330
const int material = MATERIAL; uniform sampler3D grain; uniform sampler2D face_map; uniform sampler2D line_map;
uniform vec4 face_window; uniform vec3 jitter; uniform int outfit; uniform vec4 cap_plane; uniform float layer;
uniform vec3 eye_centre; uniform vec3 gaze;
in vec3 v_place; in vec3 v_normal; in vec3 v_canon; in vec4 v_extra; in vec4 v_light; in float v_depth;
vec2 face_uv() { return (v_canon.xy - face_window.xy) * face_window.zw; }
bool outside_cloth() {
  if (material != 3) return false;
  if (layer > 1.5) return dot(v_canon, cap_plane.xyz) < cap_plane.w + 0.02 * (texture(grain, v_canon * 0.4 + jitter).r - 0.5);
  return layer > 0.5 && v_extra.z < 0.5;
}
