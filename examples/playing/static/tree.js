// The tree as a diagram: an ARIA tree with a thumbnail at every node; the arrow keys walk it.

import { BLACK, nameOf, paint } from "./pictures.js";

const key = (path) => path.join(".");

export class TreeDiagram {
  constructor(list, branches, colours, { lit, chosen }) {
    Object.assign(this, { list, branches, colours, lit, chosen, items: new Map(), shape: null });
    list.addEventListener("keydown", (event) => this.walk(event));
    new ResizeObserver(() => this.connect()).observe(list);
  }

  // Show a view; the elements stay while the tree's shape does, so that focus is never lost.
  show(view) {
    const shape = view.nodes.map((node) => key(node.path)).join(" ");
    if (shape !== this.shape) { this.build(view); this.shape = shape; }
    paint(this.items.get("").canvas, [[view.image, BLACK]]);
    for (const node of view.nodes) paint(this.items.get(key(node.path)).canvas, [[node.own, this.colour(node.path)]]);
    this.connect();
  }

  colour(path) {
    return this.colours[path[path.length - 1] % this.colours.length];
  }

  build(view) {
    this.items.clear();
    this.list.replaceChildren();
    this.add([], this.list, "The whole image");
    for (const { path } of view.nodes) {
      const parent = this.items.get(key(path.slice(0, -1))).item;
      let group = parent.querySelector(":scope > ul");
      if (!group) {
        group = document.createElement("ul");
        group.setAttribute("role", "group");
        parent.append(group);
        parent.setAttribute("aria-expanded", "true");
      }
      this.add(path, group, nameOf(path));
    }
    this.items.get("").item.tabIndex = 0;
  }

  add(path, group, label) {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    item.setAttribute("role", "treeitem");
    item.setAttribute("aria-label", label);
    item.setAttribute("aria-selected", "false");
    item.tabIndex = -1;
    canvas.title = label;
    if (path.length) canvas.style.borderColor = `rgb(${this.colour(path).join(" ")})`;
    item.append(canvas);
    group.append(item);
    this.items.set(key(path), { item, canvas, path });
    canvas.addEventListener("pointerenter", () => this.light(path));
    canvas.addEventListener("pointerleave", () => this.light(null));
    canvas.addEventListener("click", () => { this.focus(path); this.chosen(path.length ? path : null); });
    item.addEventListener("focus", (event) => { event.stopPropagation(); this.light(path); });
    item.addEventListener("blur", () => this.light(null));
  }

  light(path) {
    for (const one of this.items.values()) {
      one.item.classList.toggle("lit", path !== null && path.length > 0 && key(one.path) === key(path));
    }
    this.lit(path && path.length ? path : null);
  }

  select(path) {
    for (const one of this.items.values()) {
      one.item.setAttribute("aria-selected", String(path !== null && one.path.length > 0 && key(one.path) === key(path)));
    }
  }

  focus(path) {
    for (const { item } of this.items.values()) item.tabIndex = -1;
    const { item } = this.items.get(key(path));
    item.tabIndex = 0;
    item.focus({ preventScroll: true });
  }

  walk(event) {
    const all = [...this.list.querySelectorAll("[role=treeitem]")];
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const { path } = [...this.items.values()].find((one) => one.item === all[at]);
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.chosen(path.length ? path : null);
      return;
    }
    const step = path[path.length - 1];
    const goals = {
      ArrowUp: path.slice(0, -1),
      ArrowDown: [...path, 0],
      ArrowLeft: path.length ? [...path.slice(0, -1), step - 1] : null,
      ArrowRight: path.length ? [...path.slice(0, -1), step + 1] : null,
      Home: [],
    };
    const goal = goals[event.key];
    if (goal === undefined) return;
    event.preventDefault();
    if (goal && this.items.has(key(goal))) this.focus(goal);
  }

  // Lines from every program to its children, in the colours of their steps.
  connect() {
    const box = this.branches.getBoundingClientRect();
    const lines = [];
    for (const { canvas, path } of this.items.values()) {
      if (!path.length) continue;
      const from = this.items.get(key(path.slice(0, -1))).canvas.getBoundingClientRect();
      const to = canvas.getBoundingClientRect();
      const [x, y] = [from.left + from.width / 2 - box.left, from.bottom - box.top];
      const [u, v] = [to.left + to.width / 2 - box.left, to.top - box.top];
      const middle = y + Math.min(14, (v - y) / 2);
      const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
      line.setAttribute("d", `M${x} ${y} C${x} ${middle + 6} ${u} ${middle - 4} ${u} ${v}`);
      line.setAttribute("fill", "none");
      line.setAttribute("stroke", `rgb(${this.colour(path).join(" ")})`);
      line.setAttribute("stroke-width", "1.5");
      line.setAttribute("opacity", "0.75");
      lines.push(line);
    }
    this.branches.replaceChildren(...lines);
  }
}
