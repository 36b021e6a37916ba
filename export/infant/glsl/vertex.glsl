#version 330
uniform mat4 clip; uniform mat4 light_clip; uniform mat4 view;
in vec3 place; in vec3 normal; in vec3 canon; in vec4 extra;
out vec3 v_place; out vec3 v_normal; out vec3 v_canon; out vec4 v_extra; out vec4 v_light; out float v_depth;
void main() {
  v_place = place; v_normal = normal; v_canon = canon; v_extra = extra;
  v_light = light_clip * vec4(place, 1.0);
  v_depth = -(view * vec4(place, 1.0)).z;
  gl_Position = clip * vec4(place, 1.0);
}
