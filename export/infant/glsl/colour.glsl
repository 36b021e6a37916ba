uniform vec3 camera; uniform vec3 light_dir; uniform vec3 light_colour; uniform vec3 sky; uniform vec3 bounce;
uniform vec3 spot_place; uniform float spot; uniform sampler2D shadow_map; uniform float shadow_soft; uniform float shadow_on;
uniform vec3 tone; uniform vec3 blood; uniform vec3 lip; uniform vec3 hair_colour; uniform float hair_amount;
uniform float mottle; uniform float blotch; uniform float pale; uniform vec4 furrow; uniform float shine; uniform vec3 pulse; uniform vec3 pulse_late;
uniform vec3 cloth_a; uniform vec3 cloth_b; uniform vec4 pattern; uniform vec3 iris; uniform float infrared;
uniform vec4 tape_a; uniform vec4 tape_b; uniform float brow_amount; uniform float tear; uniform float flush; uniform vec3 furrow_lean; uniform float pupil; uniform vec3 tape_colour;
out vec4 colour;

float lit() {
  vec3 p = v_light.xyz / v_light.w * 0.5 + 0.5;
  if (shadow_on < 0.5 || p.x < 0.0 || p.y < 0.0 || p.x > 1.0 || p.y > 1.0) return 1.0;
  float total = 0.0; float bias = 0.006;
  float turn = fract(sin(dot(gl_FragCoord.xy, vec2(12.9898, 78.233))) * 43758.5453) * 6.283;
  for (int i = 0; i < 4; i++) {
    float a = turn + float(i) * 2.4; float r = shadow_soft * sqrt((float(i) + 0.5) / 4.0);
    total += step(p.z - bias, texture(shadow_map, p.xy + r * vec2(cos(a), sin(a))).r);
  }
  return total / 4.0;
}
float fbm(vec3 p) { vec4 a = texture(grain, p), b = texture(grain, p * 3.3 + 0.37); return a.r * 0.65 + b.g * 0.35; }

vec3 weave(vec3 q, vec3 normal) {
  int kind = int(pattern.x + 0.5); float f = pattern.y;
  vec2 w = vec2(q.x + q.z * 0.35, q.y + q.z * 0.2); float c = cos(pattern.z), s = sin(pattern.z);
  w = mat2(c, s, -s, c) * w * f;
  float m = 0.0;
  if (kind == 1) m = step(0.5, fract(w.x));
  else if (kind == 2) m = 0.5 * (step(0.5, fract(w.x)) + step(0.5, fract(w.y)));
  else if (kind == 3) { vec2 g = fract(w) - 0.5; m = 1.0 - smoothstep(0.20, 0.24, length(g)); }
  else if (kind == 4) { vec2 g = fract(w + vec2(0.5 * mod(floor(w.y), 2.0), 0.0)) - 0.5; float r = length(g), a = atan(g.y, g.x);
    m = 1.0 - smoothstep(0.02, 0.04, r - 0.18 - 0.09 * cos(5.0 * a)); }
  else if (kind == 5) m = step(0.55, fbm(q * 0.35 * f * 0.3 + jitter));
  else if (kind == 6) m = step(0.82, fract(w.x)) + step(0.82, fract(w.y)) * 0.6;
  else if (kind == 7) { float h = texture(grain, q * 0.11 * f * 0.5 + jitter).a; m = h; }
  vec3 base = mix(cloth_a, cloth_b, clamp(m, 0.0, 1.0));
  float thread = texture(grain, q * 5.0 + jitter).g; float soft = fbm(q * 0.9 + jitter);
  return base * (0.86 + 0.16 * thread + 0.22 * (soft - 0.5));
}

vec3 bump(vec3 n, vec3 q, float size, float strength) {
  vec3 g = texture(grain, q * size).rgb - 0.5;
  return normalize(n + strength * g);
}

vec4 tape(vec4 where) {
  vec2 d = v_canon.xy - where.xy; float c = cos(where.w), s = sin(where.w);
  d = mat2(c, -s, s, c) * d; vec2 e = abs(d) - vec2(where.z, where.z * 0.55);
  float inside = 1.0 - smoothstep(-0.006, 0.004, max(e.x, e.y));
  return vec4(inside * step(0.001, where.z) * step(0.2, v_canon.z));
}

vec4 furrow_sides() {
  float left = smoothstep(-0.03, 0.03, v_canon.x);
  vec3 side = mix(1.0 - max(furrow_lean, 0.0), 1.0 + min(furrow_lean, 0.0), left);
  return furrow * vec4(side.z, side.x, side.y, 1.0);
}
vec3 wrinkled(vec3 n, vec2 uv, vec4 amount) {  // surface gradient of the lines' height (Mikkelsen 2010)
  float e = 1.5 / 512.0; float depth = 0.010;
  vec4 across = texture(line_map, uv + vec2(e, 0.0)) - texture(line_map, uv - vec2(e, 0.0));
  vec4 along = texture(line_map, uv + vec2(0.0, e)) - texture(line_map, uv - vec2(0.0, e));
  vec2 slope = -depth * vec2(dot(across, amount), dot(along, amount)) / (2.0 * e);
  vec3 sx = dFdx(v_place), sy = dFdy(v_place); vec3 r1 = cross(sy, n), r2 = cross(n, sx); float det = dot(sx, r1);
  vec3 grad = sign(det) * (dot(slope, dFdx(uv)) * r1 + dot(slope, dFdy(uv)) * r2);
  return normalize(abs(det) * n - grad);
}
float tear_track(float fine) {
  float lane = 0.275 + 0.012 * sin(31.0 * v_canon.y) + 0.05 * fine + 0.05 * (v_canon.y + 0.1);
  float run = smoothstep(0.014, 0.004, abs(abs(v_canon.x) - lane)) * smoothstep(-0.36, -0.10, v_canon.y) * smoothstep(0.04, 0.02, v_canon.y);
  float pool = smoothstep(0.016, 0.006, abs(v_canon.y - 0.030 - 0.4 * pow(abs(v_canon.x) - 0.21, 2.0))) * smoothstep(0.10, 0.07, abs(abs(v_canon.x) - 0.21));
  return clamp(tear * (run + pool) * step(0.3, v_canon.z), 0.0, 1.0);
}

vec3 skin(inout vec3 n, out float gloss, out float hair) {
  if (!gl_FrontFacing) { gloss = 0.0; hair = 0.0; return vec3(0.05, 0.008, 0.008); }
  vec2 uv = face_uv(); float front = v_extra.x; vec4 map = texture(face_map, uv) * front; 
  vec3 q = v_canon + jitter;
  vec4 na = texture(grain, q * 0.30) - 0.5, nb = texture(grain, q * 0.9 + 0.2) - 0.5, nc = texture(grain, q * 3.1) - 0.5, nd = texture(grain, q * 9.0) - 0.5;
  float big = na.r, mid = nb.g, fine = nc.b, pore = nd.a;
  float flush = 0.30 * map.a + mottle * (0.8 * big + 0.9 * mid) + 0.20 * fine + 0.12 * pore;
  flush += blotch * smoothstep(0.10, 0.22, na.a);
  vec3 c = tone * mix(vec3(1.0), blood, clamp(0.35 + flush, 0.0, 1.6));
  c *= 1.0 + 0.10 * pore + 0.08 * fine;
  c = mix(c, c * vec3(1.05, 1.08, 1.1) + 0.03, pale * smoothstep(0.0, 0.2, nb.b));
  c *= mix(vec3(1.0), vec3(1.0, 0.74, 0.72), flush * front * (0.55 + 0.45 * map.a) * (1.0 - infrared));
  float lips = map.r; c = mix(c, lip * (0.9 + 0.35 * fine + 0.2 * pore), 0.85 * lips);
  vec2 bent = uv + 0.014 * vec2(na.g, na.b) + 0.006 * vec2(nb.r, nb.b);
  vec4 amount = furrow_sides(); vec4 lines = texture(line_map, bent) * front;
  vec3 crease = c * mix(vec3(0.46, 0.30, 0.28), vec3(0.45), infrared);
  c = mix(c, crease, clamp(dot(lines, amount * vec4(0.62, 0.70, 0.9, 1.0)), 0.0, 0.8));
  float strands = texture(grain, vec3(v_canon.x * 3.0, v_canon.y * 9.0, v_canon.z) + jitter).g;
  c = mix(c, mix(hair_colour, c, 0.25), brow_amount * map.g * smoothstep(0.25, 0.7, strands + 0.25 * map.g));
  c = mix(c, hair_colour * 0.35 + c * vec3(0.10, 0.06, 0.05), clamp(map.b, 0.0, 1.0) * 0.9 * v_extra.z);
  float rim = map.b * (1.0 - v_extra.z); c = mix(c, c * vec3(1.05, 0.72, 0.70), 0.6 * rim);
  float scalp = v_extra.y + 0.30 * nb.a + 0.15 * nc.a;
  vec4 lock4 = texture(grain, vec3(v_canon.x * 4.0 + v_canon.z * 1.2, v_canon.y * 1.1, v_canon.z * 1.0) + jitter);
  float lock = lock4.r * 0.6 + lock4.g * 0.4;
  hair = smoothstep(0.35, 0.85, scalp) * hair_amount * smoothstep(0.15, 0.75, lock + hair_amount * 0.45);
  c = mix(c, hair_colour * (0.5 + 0.9 * lock), clamp(hair, 0.0, 0.95));
  gloss = shine * (1.0 - 0.7 * hair) * (0.7 + 0.6 * mid) + 0.35 * lips + tear * map.a * 0.5 + 0.5 * rim;
  float wet = tear_track(nb.g); c *= 1.0 - 0.14 * wet; gloss = mix(gloss, 5.0, wet);
  float cavity = smoothstep(0.45, 0.9, v_extra.w);
  c = mix(c, vec3(0.20, 0.035, 0.03) * (1.0 + 0.8 * big), cavity); gloss = mix(gloss, 0.5, cavity);
  float stuck = clamp(tape(tape_a).x + tape(tape_b).x, 0.0, 1.0);
  c = mix(c, mix(c, tape_colour, 0.85) * (0.95 + 0.15 * nc.r), stuck); gloss = mix(gloss, 0.3, stuck);
  if (front > 0.01) n = wrinkled(n, bent, amount * front);
  n = normalize(n + (0.10 + 0.5 * hair) * nd.rgb * (1.0 - wet) + 0.10 * nc.rgb);
  return c * (1.0 + (mix(pulse, pulse_late, clamp(na.b + 0.5, 0.0, 1.0)) - 1.0) * (1.0 + 0.6 * na.g) * (1.0 - cavity) * (1.0 - stuck) * (1.0 - hair));
}

vec3 eye(inout vec3 n) {  // the cornea bulges, and so its highlight lies within the iris
  vec3 d = normalize(v_place - eye_centre); float a = acos(clamp(dot(d, gaze), -1.0, 1.0));
  vec3 white = mix(vec3(0.66, 0.66, 0.68), vec3(0.62), infrared) * (0.95 + 0.1 * texture(grain, v_place * 2.0).r);
  white = mix(white, vec3(0.55, 0.28, 0.25), 0.35 * smoothstep(0.7, 1.2, a));
  float ray = texture(grain, vec3(d.xy * 1.3, 0.3) + jitter).g;
  vec3 ring = iris * (0.55 + 0.9 * ray) * (1.0 - 0.6 * smoothstep(0.36, 0.48, a));
  vec3 c = mix(ring, white, smoothstep(0.46, 0.52, a));
  vec3 hole = mix(vec3(0.006), vec3(0.35), infrared * pupil);
  n = normalize(mix(n, gaze + 1.9 * (d - gaze), smoothstep(0.55, 0.45, a)));
  return mix(hole, c, smoothstep(0.16, 0.20, a));
}

void main() {
  if (outside_cloth()) discard;
  vec3 look = normalize(camera - v_place); vec3 n = length(v_normal) < 1e-3 ? look : normalize(v_normal);
  if (dot(n, look) < 0.0 && (material != 0 || !gl_FrontFacing)) n = -n;
  float gloss = 0.0, hair = 0.0, power = 18.0, occlusion = 1.0; vec3 albedo; vec3 wrap = vec3(0.15);
  if (material == 0) {
    albedo = skin(n, gloss, hair); wrap = mix(vec3(0.42, 0.24, 0.20), vec3(0.35), infrared);
    occlusion = 1.0 - clamp(v_extra.w, 0.0, 1.0) * 0.92; power = 14.0;
  } else if (material == 1) { albedo = eye(n); gloss = 4.0; power = 90.0; occlusion = v_extra.w; }
  else if (material == 2) { albedo = tone * vec3(0.55, 0.22, 0.20) + vec3(0.22, 0.05, 0.05); gloss = 0.6; occlusion = 0.55; power = 30.0; }
  else if (material == 3 || material == 6) { albedo = weave(v_canon, n); occlusion = 1.0 - clamp(v_extra.w, 0.0, 1.0) * 0.7;
    n = bump(n, v_canon + jitter, 0.9, 0.35); n = bump(n, v_canon + jitter, 4.0, 0.12); }
  else if (material == 4) { albedo = cloth_a; gloss = 0.9; power = 50.0; }
  else { albedo = weave(v_canon, n); gloss = 0.25; wrap = vec3(0.3, 0.2, 0.15); }
  float shade = lit(); float ndl = dot(n, light_dir);
  vec3 diffuse = clamp((vec3(ndl) + wrap) / (1.0 + wrap), 0.0, 1.0);
  diffuse *= mix(mix(vec3(shade), vec3(sqrt(shade), shade, shade), material == 0 ? 0.6 : 0.0), vec3(1.0), 0.0);
  vec3 ambient = mix(bounce, sky, 0.5 + 0.5 * n.z) * occlusion;
  vec3 h = normalize(light_dir + look); float fresnel = 0.04 + 0.5 * pow(1.0 - clamp(dot(n, look), 0.0, 1.0), 5.0);
  float spec = gloss * shade * pow(clamp(dot(n, h), 0.0, 1.0), power) * (power + 8.0) / 60.0 * (0.3 + fresnel);
  vec3 out_c = albedo * (light_colour * diffuse * mix(1.0, occlusion, 0.6) + ambient) + light_colour * spec * 0.35 * occlusion;
  out_c += material == 0 ? light_colour * vec3(0.10, 0.02, 0.015) * (1.0 - infrared) * pow(1.0 - clamp(dot(n, look), 0.0, 1.0), 3.0) * tone * occlusion : vec3(0.0);
  if (spot > 0.0) { vec3 to = spot_place - v_place; float r = length(to);
    float s = clamp((dot(n, to / r) + 0.2) / 1.2, 0.0, 1.0); vec3 sh = normalize(to / r + look);
    out_c += spot / (r * r) * (albedo * s * occlusion + 0.25 * gloss * pow(clamp(dot(n, sh), 0.0, 1.0), power)); }
  colour = vec4(out_c, 1.0);
}
