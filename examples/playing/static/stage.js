// The model's image: the part in one's hand, dragged, turned and scaled by pointer and keyboard.

import { BLACK, PALE, bytesOf, paint } from "./pictures.js";

const SVG = "http://www.w3.org/2000/svg";
const same = (one, other) => one !== null && other !== null && one.join(".") === other.join(".");
const apply = (pose, [x, y]) => pose.map(([a, b, t]) => a * x + b * y + t);

export class Stage {
  constructor(frame, canvas, handles, colours, { moved, chosen }) {
    Object.assign(this, { frame, canvas, handles, colours, moved, chosen });
    Object.assign(this, { view: null, lit: null, part: null, coloured: true, drag: null });
    frame.addEventListener("pointerdown", (event) => this.grab(event));
    frame.addEventListener("pointermove", (event) => this.pull(event));
    for (const name of ["pointerup", "pointercancel"]) frame.addEventListener(name, (event) => this.drop(event));
    frame.addEventListener("keydown", (event) => this.key(event));
  }

  node(path) {
    return path && this.view ? this.view.nodes.find((one) => same(one.path, path)) ?? null : null;
  }

  show(view = this.view) {
    this.view = view;
    if (!view) { this.canvas.getContext("2d").clearRect(0, 0, this.canvas.width, this.canvas.height); this.outline(); return; }
    const lit = this.node(this.lit ?? this.part);
    const parts = view.nodes.filter((node) => node.path.length === 1);
    const tint = (path) => this.colours[path[path.length - 1] % this.colours.length];
    if (lit) {
      const others = parts.filter((node) => !same(node.path, lit.path)).map((node) => [node.ink, PALE]);
      paint(this.canvas, [...others, [lit.ink, tint(lit.path)]]);
    } else {
      paint(this.canvas, this.coloured ? parts.map((node) => [node.ink, tint(node.path)]) : [[view.image, BLACK]]);
    }
    this.outline();
  }

  outline() {
    const node = this.node(this.part);
    if (!node) { this.handles.replaceChildren(); return; }
    const corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map((corner) => apply(node.pose, corner));
    const shape = make("polygon", { points: corners.map((one) => one.join(",")).join(" "), fill: "rgb(31 95 191 / 7%)",
      stroke: "#1f5fbf", "stroke-width": 0.014, "stroke-linejoin": "round" });
    const knob = inside(apply(node.pose, [0, -1])), corner = inside(apply(node.pose, [1, 1]));
    const look = { fill: "#fff", stroke: "#1f5fbf", "stroke-width": 0.022 };
    const turn = make("circle", { cx: knob[0], cy: knob[1], r: 0.055, ...look, "data-grip": "turn" });
    const scale = make("rect", { x: corner[0] - 0.05, y: corner[1] - 0.05, width: 0.1, height: 0.1, rx: 0.015, ...look, "data-grip": "scale" });
    this.handles.replaceChildren(shape, turn, scale);
  }

  point(event) {
    const box = this.frame.getBoundingClientRect();
    return [(2 * (event.clientX - box.left)) / box.width - 1, (2 * (event.clientY - box.top)) / box.height - 1];
  }

  // The part with the most ink near a point of the image.
  under([x, y]) {
    const [rows, columns] = this.view.image;
    let best = null, most = 24;
    for (const node of this.view.nodes) {
      if (node.path.length > 1) break;
      const bytes = bytesOf(node.ink);
      let ink = 0;
      for (let dy = -1; dy <= 1; dy += 1) for (let dx = -1; dx <= 1; dx += 1) {
        const row = Math.floor(((y + 1) / 2) * rows) + dy, column = Math.floor(((x + 1) / 2) * columns) + dx;
        if (row >= 0 && row < rows && column >= 0 && column < columns) ink = Math.max(ink, bytes[row * columns + column] - 20 * (dx !== 0 || dy !== 0));
      }
      if (ink > most) { most = ink; best = node.path; }
    }
    return best;
  }

  grab(event) {
    if (!this.view || event.button !== 0) return;
    const at = this.point(event);
    const own = this.node(this.part);
    let grip = event.target.dataset?.grip;
    if (!grip && own) {
      const near = (frame) => Math.hypot(...inside(apply(own.pose, frame)).map((one, i) => one - at[i])) < 0.13;
      grip = near([0, -1]) ? "turn" : near([1, 1]) ? "scale" : undefined;
    }
    if (!grip) {
      const found = this.under(at);
      const within = own && held(own.pose, at);
      if (!within || (found && this.part.length === 1)) this.chosen(found);
    }
    const node = this.node(this.part);
    if (!node) return;
    event.preventDefault();
    this.frame.focus({ preventScroll: true });
    this.frame.setPointerCapture(event.pointerId);
    this.drag = { id: event.pointerId, grip: grip ?? "shift", from: at, node, moved: false };
  }

  pull(event) {
    if (!this.drag || event.pointerId !== this.drag.id) return;
    const at = this.point(event), { from, node, grip } = this.drag;
    if (!this.drag.moved && Math.hypot(at[0] - from[0], at[1] - from[1]) < 0.01) return;
    this.drag.moved = true;
    const middle = [node.pose[0][2], node.pose[1][2]];
    const arm = (point) => [point[0] - middle[0], point[1] - middle[1]];
    const [a, b] = [arm(from), arm(at)];
    if (grip === "turn") {
      const turn = ((Math.atan2(b[1], b[0]) - Math.atan2(a[1], a[0])) * 180) / Math.PI;
      this.moved({ turn }, false);
    } else if (grip === "scale") {
      this.moved({ scale: Math.min(8, Math.max(0.15, Math.hypot(...b) / Math.max(Math.hypot(...a), 0.05))) }, false);
    } else {
      this.moved(this.shift([at[0] - from[0], at[1] - from[1]], node), false);
    }
  }

  drop(event) {
    if (!this.drag || event.pointerId !== this.drag.id) return;
    const { moved } = this.drag;
    this.drag = null;
    if (moved) this.moved(null, true);
  }

  // A shift of the image in the frame of the part's parent.
  shift([x, y], node) {
    const [[a, b], [c, d]] = node.parent_pose;
    const size = a * d - b * c;
    const clip = (one) => Math.max(-4, Math.min(4, one));
    return { right: clip((d * x - b * y) / size), down: clip((a * y - c * x) / size) };
  }

  nudge(name, far = 1) {
    const node = this.node(this.part);
    if (!node) return false;
    const pixel = (2 * far) / this.view.image[1];
    const steps = {
      left: () => this.shift([-pixel, 0], node), right: () => this.shift([pixel, 0], node),
      up: () => this.shift([0, -pixel], node), down: () => this.shift([0, pixel], node),
      anticlockwise: () => ({ turn: -5 * far }), clockwise: () => ({ turn: 5 * far }),
      smaller: () => ({ scale: 1 / 1.06 ** far }), larger: () => ({ scale: 1.06 ** far }),
    };
    this.moved(steps[name](), true);
    return true;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const names = {
      ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down", ",": "anticlockwise", ".": "clockwise",
      "<": "anticlockwise", ">": "clockwise", "-": "smaller", _: "smaller", "+": "larger", "=": "larger",
    };
    if (event.key === "Escape") { this.chosen(null); return; }
    if (/^[1-9]$/.test(event.key) && this.node([Number(event.key) - 1])) { this.chosen([Number(event.key) - 1]); return; }
    if (names[event.key] && this.nudge(names[event.key], event.shiftKey ? 3 : 1)) event.preventDefault();
  }
}

function held(pose, [x, y]) {
  const [[a, b, s], [c, d, t]] = pose;
  const size = a * d - b * c;
  const [u, v] = [x - s, y - t];
  return Math.abs((d * u - b * v) / size) <= 1 && Math.abs((a * v - c * u) / size) <= 1;
}

// Handles stay where they can be taken hold of.
function inside(point) {
  return point.map((one) => Math.max(-0.93, Math.min(0.93, one)));
}

function make(name, attributes) {
  const found = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) found.setAttribute(key, value);
  return found;
}
