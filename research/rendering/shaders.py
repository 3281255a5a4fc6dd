"""The shaders, GLSL 3.30. Colours are linear; positions are in the camera frame, mm, unless named otherwise."""

_NOISE = """
uniform sampler3D noise;  // four independent channels, mean 0.5, tiles
vec4 grains(vec3 place_mm, float size_mm) { return texture(noise, place_mm / (size_mm * 64.0)) - 0.5; }
float grain(vec3 place_mm, float size_mm) { return grains(place_mm, size_mm).r; }
"""

_LIGHT = """
uniform vec3 key_direction, key, sky, ground, screen_direction, screen_light, rim_direction, rim, up;
"""

_SHADOW = """
uniform sampler2DShadow shadow_map;
float lamp_share(vec3 at_lamp) {  // how much of the key lamp is not hidden; 1 outside the map
    vec3 p = at_lamp * 0.5 + 0.5;
    if (any(lessThan(p, vec3(0.01))) || any(greaterThan(p, vec3(0.99)))) return 1.0;
    float lit = 0.0;
    for (int i = -1; i <= 1; i += 2) for (int j = -1; j <= 1; j += 2)
        lit += texture(shadow_map, vec3(p.xy + vec2(i, j) * 0.0018, p.z - 0.006));
    return lit / 4.0;
}
"""

SKIN_VERTEX = """
#version 330
in vec3 place_mm, normal, rest_mm, albedo;
in vec4 material;  // hair; mm inside the clothes; moist; share of the head's motion
in float open_sky;
uniform mat4 projection, shadow_projection;
uniform mat3 head_rotation, trunk_rotation;
uniform vec3 head_mm, trunk_mm;
out vec3 at, facing, rest, tone;
out vec4 kind, at_lamp;
out float sky_share;
void main() {
    float share = material.w;
    at = share * (head_rotation * place_mm + head_mm) + (1.0 - share) * (trunk_rotation * place_mm + trunk_mm);
    facing = share * (head_rotation * normal) + (1.0 - share) * (trunk_rotation * normal);
    rest = rest_mm; tone = albedo; kind = material; sky_share = open_sky;
    at_lamp = shadow_projection * vec4(at, 1.0);
    gl_Position = projection * vec4(at, 1.0);
}
"""

SKIN_FRAGMENT = (
    """
#version 330
#ifndef HAIR
#define HAIR step(0.5, kind.x)
#endif
#ifndef CLOTH
#define CLOTH step(0.0, kind.y)
#endif
in vec3 at, facing, rest, tone;
in vec4 kind, at_lamp;
in float sky_share;
out vec4 colour;
uniform sampler2D paint;
uniform vec4 paint_box;  // left, top, width, height in the head frame
uniform vec3 crown_mm, cloth_colour;
uniform float roughness, gloss;
"""
    + _NOISE
    + _SHADOW
    + _LIGHT
    + """
void main() {
    vec3 n = facing / max(length(facing), 1e-6), view = normalize(-at);
    float hair = HAIR, cloth = CLOTH;
    // At the edge of a triangle values are extrapolated, far when it is seen sideways.
    float wet = clamp(kind.z, 0.0, 1.0), open_sky = clamp(sky_share, 0.0, 1.0);
    if (dot(n, view) < 0.0 && hair > 0.5) n = -n;
    vec3 base = mix(clamp(tone, 0.0, 1.0), cloth_colour, cloth);
    float shine = gloss, hardness = 22.0;
    if (hair > 0.5) {
        vec3 away = rest - crown_mm;
        float turn = atan(away.x, away.z), fall = length(away);
        float wave = grain(rest, 14.0) * 0.35;
        float strand = grain(vec3((turn + wave) * 90.0, fall * 0.06, 3.0), 1.0)
                     + 0.7 * grain(vec3((turn + wave) * 34.0, fall * 0.03, 9.0), 1.0) + 0.5 * grain(rest, 5.0);
        base *= clamp(1.0 + 1.7 * strand, 0.25, 2.2);
        vec3 along = normalize(away - n * dot(away, n));
        n = normalize(n + 0.5 * grains(rest, 3.0).xyz);
        shine = 0.25; hardness = 12.0;
        float lit_along = dot(along, normalize(key_direction + view));
        base *= 1.0 + 0.6 * pow(max(1.0 - lit_along * lit_along, 0.0), 14.0);
    } else if (cloth > 0.5) {
        base *= 1.0 + 0.5 * grain(rest, 1.3) + 0.5 * grain(rest, 9.0);
        shine = 0.0;
    } else {
        vec4 over = texture(paint, (rest.xy - paint_box.xy) / paint_box.zw);
        float front = smoothstep(75.0, 45.0, rest.z);
        vec4 fine = grains(rest, 0.8), medium = grains(rest, 2.9), broad = grains(rest, 8.0);
        base *= 1.0 + 0.16 * broad.x + roughness * 0.22 * fine.w + 0.12 * medium.w;
        base.gb *= 1.0 + 0.10 * broad.y;
        base = mix(base, pow(over.rgb, vec3(2.2)), over.a * front * (1.0 - 0.9 * wet));
        vec3 bump = fine.xyz + 0.9 * medium.xyz;
        n = normalize(n + (0.10 + 0.35 * roughness) * bump * (1.0 - wet));
        shine = mix(gloss, 0.7, wet); hardness = mix(22.0, 60.0, wet);
    }
    float shadow = lamp_share(at_lamp.xyz);
    vec3 wrap = (hair + cloth > 0.5) ? vec3(0.08) : vec3(0.34, 0.16, 0.12);
    vec3 light = mix(ground, sky, 0.5 + 0.5 * dot(n, up)) * open_sky;
    vec3 glint = vec3(0.0);
    float rim_edge = pow(1.0 - clamp(dot(n, view), 0.0, 1.0), 4.0);
    vec3 directions[3] = vec3[3](key_direction, screen_direction, rim_direction);
    vec3 lamps[3] = vec3[3](key, screen_light, rim);
    for (int i = 0; i < 3; i++) {
        float facing_lamp = dot(n, directions[i]);
        vec3 reach = clamp((vec3(facing_lamp) + wrap) / (1.0 + wrap), 0.0, 1.0);
        float seen = i == 0 ? shadow : 1.0;
        vec3 soft = mix(vec3(seen), vec3(1.0), (i == 0 && hair + cloth < 0.5) ? vec3(0.16, 0.05, 0.03) : vec3(0.0));
        float open = i == 0 ? 1.0 : open_sky;
        light += lamps[i] * reach * soft * open;
        vec3 half_way = normalize(directions[i] + view);
        float grazing = 0.035 + 0.6 * pow(1.0 - clamp(dot(half_way, view), 0.0, 1.0), 5.0);
        glint += lamps[i] * seen * shine * grazing * (hardness + 8.0) * 0.12
               * pow(max(dot(n, half_way), 0.0), hardness) * step(0.0, facing_lamp) * open;
    }
    glint += sky * shine * 0.22 * rim_edge * open_sky * (1.0 - cloth);
    colour = vec4(base * light + glint, 1.0);
}
"""
)

SHADOW_FRAGMENT = """
#version 330
void main() {}
"""

SHADOW_VERTEX = """
#version 330
in vec3 place_mm;
in vec4 material;
uniform mat4 shadow_projection;
uniform mat3 head_rotation, trunk_rotation;
uniform vec3 head_mm, trunk_mm;
void main() {
    float share = material.w;
    vec3 at = share * (head_rotation * place_mm + head_mm) + (1.0 - share) * (trunk_rotation * place_mm + trunk_mm);
    gl_Position = shadow_projection * vec4(at, 1.0);
}
"""

EYE_VERTEX = """
#version 330
in vec2 corner;    // 0 or 1
uniform vec4 box;  // rectangle around the eye's opening in normalised device coordinates: left, top, right, bottom
void main() { gl_Position = vec4(mix(box.xy, box.zw, corner), 0.0, 1.0); }
"""

EYE_FRAGMENT = (
    """
#version 330
out vec4 colour;
uniform mat4 projection, shadow_projection;
uniform vec2 image_px;
uniform mat3 head_rotation, eye_rotation;  // head to camera frame, eye to camera frame
uniform vec3 centre;                       // of rotation
uniform float side;
uniform float cornea_centre_mm, cornea_radius_mm, sclera_centre_mm, sclera_radius_mm, limbus_mm, iris_plane_mm;
uniform float iris_radius_mm, pupil_radius_mm, refractive_index, seed;
uniform vec3 iris_colour, sclera_colour;
uniform float knot_first_mm, knot_last_mm;
uniform vec2 margins[32];                  // elevation of the upper and the lower lid's margin
uniform vec4 catchlights[3];               // direction and radius
uniform vec4 catchlight_shapes[3];         // brightness, squareness
"""
    + _NOISE
    + _SHADOW
    + _LIGHT
    + """
float sphere(vec3 from, vec3 ray, float middle_mm, float radius_mm) {
    vec3 o = from - vec3(0.0, 0.0, middle_mm);
    float b = dot(o, ray), c = dot(o, o) - radius_mm * radius_mm, d = b * b - c;
    return d < 0.0 ? -1.0 : -b - sqrt(d);
}
vec3 surroundings(vec3 towards, float lit) {  // what a mirror would show: a window, the screen, the room
    vec3 room = mix(ground, sky, 0.5 + 0.5 * dot(towards, up)) * 0.55;
    float lamp = smoothstep(0.955, 0.975, dot(towards, key_direction));
    vec3 side_of_screen = normalize(cross(up, screen_direction)), top = cross(screen_direction, side_of_screen);
    vec2 q = vec2(dot(towards, side_of_screen), dot(towards, top)) / max(dot(towards, screen_direction), 0.01);
    float glass = smoothstep(0.36, 0.30, abs(q.x)) * smoothstep(0.22, 0.17, abs(q.y))
                * step(0.0, dot(towards, screen_direction));
    vec3 lamps = vec3(0.0);
    for (int i = 0; i < 3; i++) {
        vec3 middle = catchlights[i].xyz;
        float ahead = dot(towards, middle), radius = catchlights[i].w;
        if (ahead < 0.1 || radius <= 0.0) continue;
        vec3 across = normalize(cross(up, middle)), upwards = cross(middle, across);
        vec2 p = vec2(dot(towards, across), dot(towards, upwards)) / (ahead * radius);
        float disc = smoothstep(1.1, 0.9, length(p)), edge = max(abs(p.x) * 1.3, abs(p.y));
        float pane = smoothstep(1.05, 0.95, edge) * smoothstep(0.04, 0.10, min(abs(p.x), abs(p.y)));
        lamps += catchlight_shapes[i].x * mix(disc, pane, catchlight_shapes[i].y);
    }
    return room + key * 9.0 * lamp * lit + screen_light * 4.0 * glass + lamps;
}
vec3 iris(vec2 p) {
    float r = length(p), turn = atan(p.y, p.x), u = r / iris_radius_mm;
    vec3 ring = vec3(cos(turn), sin(turn), seed);
    float fibres = grain(ring * vec3(26.0, 26.0, 5.0) + vec3(0.0, 0.0, u * 1.5), 1.0)
                 + 0.7 * grain(ring * vec3(9.0, 9.0, 3.0) + vec3(0.0, 0.0, u * 4.0), 1.0);
    float collarette = smoothstep(0.62, 0.40, u + 0.12 * grain(ring * 7.0, 1.0));
    vec3 c = iris_colour * (1.0 + 1.1 * fibres) * mix(0.85, 1.25, smoothstep(0.35, 0.75, u));
    c = mix(c, iris_colour * vec3(1.15, 0.85, 0.6) * (0.9 + fibres), 0.45 * collarette);
    c *= 1.0 - 0.6 * smoothstep(0.80, 0.99, u);
    return mix(vec3(0.004), max(c, 0.0), smoothstep(pupil_radius_mm - 0.1, pupil_radius_mm + 0.1, r));
}
vec4 look(vec3 ray_in_camera) {  // colour and how far; negative when the ray misses the eye
    vec3 from = transpose(eye_rotation) * (-centre), ray = transpose(eye_rotation) * ray_in_camera;
    float near_cornea = sphere(from, ray, cornea_centre_mm, cornea_radius_mm);
    vec3 on_cornea = from + near_cornea * ray;
    bool through_cornea = near_cornea > 0.0 && on_cornea.z > limbus_mm;
    float near_sclera = sphere(from, ray, sclera_centre_mm, sclera_radius_mm);
    if (!through_cornea && near_sclera < 0.0) return vec4(0.0, 0.0, 0.0, -1.0);
    float along = through_cornea ? near_cornea : near_sclera;
    vec3 p = from + along * ray;
    vec3 n = normalize(p - vec3(0.0, 0.0, through_cornea ? cornea_centre_mm : sclera_centre_mm));
    float from_axis = length(p.xy);

    // The white, with vessels that thin out towards the limbus.
    float outer = smoothstep(iris_radius_mm, 11.0, from_axis);
    float vessels = smoothstep(0.10, 0.24, grain(p * vec3(1.0, 2.6, 1.0) + seed * 17.0, 0.9) + 0.22 * grain(p, 3.0));
    vec3 white = sclera_colour * (1.0 + 0.12 * grain(p + seed, 5.0));
    white = mix(white, white * vec3(0.95, 0.62, 0.58), outer * (0.35 + 0.5 * vessels));

    // The iris as the cornea bends the light to it; the limbus is a soft edge about half a millimetre wide.
    vec3 base = white;
    if (through_cornea) {
        vec3 bent = refract(ray, n, 1.0 / refractive_index);
        float reach = (iris_plane_mm - p.z) / bent.z;
        vec3 q = p + max(reach, 0.0) * bent;
        float facing_lamp = clamp(dot(n, transpose(eye_rotation) * key_direction), 0.0, 1.0);
        base = iris(q.xy) * (0.75 + 0.5 * facing_lamp);
        base = mix(base, white, smoothstep(iris_radius_mm - 0.4, iris_radius_mm, from_axis));
    }
    float past_limbus = from_axis - iris_radius_mm;
    base *= mix(0.75, 1.0, past_limbus > 0.0 ? smoothstep(0.0, 0.25, past_limbus) : smoothstep(0.0, -0.5, past_limbus));

    // The lids take away light near their margins.
    vec3 h = transpose(head_rotation) * (eye_rotation * p);
    float across = side * h.x;
    float place = clamp((across - knot_first_mm) / (knot_last_mm - knot_first_mm), 0.0, 1.0) * 31.0;
    int cell = int(min(floor(place), 30.0));
    vec2 lids = mix(margins[cell], margins[cell + 1], place - float(cell));
    float elevation = atan(-h.y, -h.z);
    float below_upper = (lids.x - elevation) * 12.5, above_lower = (elevation - lids.y) * 12.5;
    float to_corner = min(across - knot_first_mm, knot_last_mm - across);
    float open_sky = mix(0.22, 1.0, smoothstep(-0.6, 3.4, below_upper))
                   * mix(0.6, 1.0, smoothstep(-0.5, 1.6, above_lower))
                   * mix(0.5, 1.0, smoothstep(-1.0, 5.0, to_corner));
    float lit = lamp_share((shadow_projection * vec4(centre + eye_rotation * p, 1.0)).xyz);
    float shadow = mix(0.35, 1.0, smoothstep(0.0, 2.2, below_upper)) * lit;
    base = mix(base * vec3(0.95, 0.7, 0.66), base,
               smoothstep(-0.3, 1.2, above_lower) * smoothstep(-1.0, 3.0, to_corner));

    base = mix(base, base * vec3(0.9, 0.6, 0.55), smoothstep(-8.5, -11.5, across));

    vec3 nc = eye_rotation * n, view = -ray_in_camera;
    base *= 0.85;  // the orbit shades it, too
    vec3 light = mix(ground, sky, 0.5 + 0.5 * dot(nc, up)) * open_sky;
    light += key * clamp((dot(nc, key_direction) + 0.25) / 1.25, 0.0, 1.0) * shadow;
    light += screen_light * clamp((dot(nc, screen_direction) + 0.2) / 1.2, 0.0, 1.0) * open_sky;
    light += rim * clamp(dot(nc, rim_direction), 0.0, 1.0);
    vec3 tremble = (through_cornea ? 0.0 : 0.08) * vec3(grain(p, 1.2), grain(p + 9.0, 1.2), 0.0);
    float fresnel = 0.025 + 0.975 * pow(1.0 - clamp(dot(nc, view), 0.0, 1.0), 5.0);
    float gleam = fresnel * (through_cornea ? 1.0 : 0.35) * mix(0.15, 1.0, smoothstep(0.2, 1.6, below_upper));
    return vec4(base * light + gleam * surroundings(normalize(reflect(-view, nc) + tremble), lit), along);
}
void main() {
    vec4 sum = vec4(0.0);
    float hits = 0.0;
    vec2 places[4] = vec2[4](vec2(-0.125, -0.375), vec2(0.375, -0.125), vec2(-0.375, 0.125), vec2(0.125, 0.375));
    for (int i = 0; i < 4; i++) {
        vec2 seen_at = (gl_FragCoord.xy + places[i]) / image_px * 2.0 - 1.0;
        vec3 ray = normalize(vec3((seen_at - projection[2].xy) / vec2(projection[0][0], projection[1][1]), 1.0));
        vec4 seen = look(ray);
        if (seen.w > 0.0) { sum += vec4(seen.rgb, seen.w * ray.z); hits += 1.0; }
    }
    if (hits < 0.5) discard;
    sum /= hits;
    colour = vec4(sum.rgb, 1.0);
    gl_FragDepth = 0.5 + 0.5 * (projection[2][2] + projection[3][2] / sum.w);
}
"""
)

PLAIN_VERTEX = """
#version 330
in vec3 place_mm, normal;
uniform mat4 projection;
uniform mat3 head_rotation;
uniform vec3 head_mm;
out vec3 at, facing;
void main() {
    at = head_rotation * place_mm + head_mm;
    facing = head_rotation * normal;
    gl_Position = projection * vec4(at, 1.0);
}
"""

PLAIN_FRAGMENT = (
    """
#version 330
in vec3 at, facing;
out vec4 colour;
uniform vec3 albedo;
uniform float opacity, shine, lens, tint;
"""
    + _LIGHT
    + """
void main() {
    vec3 n = normalize(facing), view = normalize(-at);
    if (dot(n, view) < 0.0) n = -n;
    vec3 towards = reflect(-view, n);
    vec3 room = mix(ground, sky, 0.5 + 0.5 * dot(towards, up));
    float lamp = smoothstep(0.90, 0.97, dot(towards, key_direction));
    vec3 side_of_screen = normalize(cross(up, screen_direction)), top = cross(screen_direction, side_of_screen);
    vec2 q = vec2(dot(towards, side_of_screen), dot(towards, top)) / max(dot(towards, screen_direction), 0.01);
    float glass = smoothstep(0.40, 0.30, abs(q.x)) * smoothstep(0.25, 0.18, abs(q.y))
                * step(0.0, dot(towards, screen_direction));
    vec3 mirrored = room + key * 3.0 * lamp + screen_light * 4.0 * glass;
    if (lens > 0.5) {
        float fresnel = shine * (1.0 + 12.0 * pow(1.0 - clamp(dot(n, view), 0.0, 1.0), 4.0));
        colour = vec4(mirrored * fresnel, clamp(tint + 0.5 * fresnel, 0.0, 1.0));  // premultiplied
        return;
    }
    vec3 light = room + key * clamp(dot(n, key_direction), 0.0, 1.0) + rim * clamp(dot(n, rim_direction), 0.0, 1.0)
               + screen_light * clamp(dot(n, screen_direction), 0.0, 1.0);
    colour = vec4((albedo * light + mirrored * shine) * opacity, opacity);
}
"""
)
