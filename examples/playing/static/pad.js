// The drawing pad: strokes over [0, 1], by pointer or by keyboard.

const RASTER = 112; // rows and columns that the server gets
const PEN = 0.085; // width of the pen, as a share of the pad

export class Pad {
  constructor(canvas, hint, changed) {
    Object.assign(this, { canvas, hint, changed, strokes: [], cursor: null, down: false, pointer: null });
    this.raster = document.createElement("canvas");
    this.raster.width = this.raster.height = RASTER;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.go(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.end(event));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("blur", () => { this.cursor = null; this.down = false; this.show(); });
    this.show();
  }

  begin(event) {
    if (event.button !== 0 || this.pointer !== null) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.pointer = event.pointerId;
    this.cursor = null;
    this.down = false;
    this.strokes.push([this.place(event)]);
    this.drawn();
  }

  go(event) {
    if (event.pointerId !== this.pointer) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const one of events.length ? events : [event]) this.strokes[this.strokes.length - 1].push(this.place(one));
    this.drawn();
  }

  end(event) {
    if (event.pointerId !== this.pointer) return;
    this.pointer = null;
    this.changed(true);
  }

  key(event) {
    const step = event.shiftKey ? 0.08 : 0.03;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const undo = event.key === "Backspace" || ((event.ctrlKey || event.metaKey) && event.key === "z");
    if (!moves[event.key] && event.key !== " " && !undo) return;
    event.preventDefault();
    if (undo) { this.undo(); return; }
    this.cursor ??= [0.3, 0.25];
    if (event.key === " ") {
      this.down = !this.down;
      if (this.down) this.strokes.push([[...this.cursor]]);
      this.drawn();
      if (!this.down) this.changed(true);
      return;
    }
    this.cursor = this.cursor.map((one, at) => Math.min(0.97, Math.max(0.03, one + moves[event.key][at])));
    if (this.down) { this.strokes[this.strokes.length - 1].push([...this.cursor]); this.drawn(); } else this.show();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  }

  drawn() {
    this.show();
    this.changed(false);
  }

  undo() {
    this.strokes.pop();
    this.down = false;
    this.show();
    this.changed(true);
  }

  set(strokes) {
    this.strokes = strokes;
    this.down = false;
    this.show();
  }

  get empty() {
    return this.strokes.length === 0;
  }

  show() {
    const { width } = this.canvas;
    const context = this.canvas.getContext("2d");
    context.clearRect(0, 0, width, width);
    trace(context, this.strokes, width, "#1a1c20");
    if (this.cursor) {
      context.beginPath();
      context.arc(this.cursor[0] * width, this.cursor[1] * width, 0.05 * width, 0, 7);
      context.lineWidth = 4;
      context.strokeStyle = this.down ? "#d01c1c" : "#1f5fbf";
      context.stroke();
    }
    this.hint.hidden = !this.empty || this.cursor !== null;
  }

  // Rows of whole numbers, 0 for paper and 255 for ink.
  ink() {
    const context = this.raster.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, RASTER, RASTER);
    trace(context, this.strokes, RASTER, "#fff");
    const { data } = context.getImageData(0, 0, RASTER, RASTER);
    return Array.from({ length: RASTER }, (_, row) =>
      Array.from({ length: RASTER }, (_, column) => data[4 * (row * RASTER + column) + 3]));
  }
}

function trace(context, strokes, side, colour) {
  Object.assign(context, { lineWidth: PEN * side, lineCap: "round", lineJoin: "round", strokeStyle: colour });
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(stroke[0][0] * side, stroke[0][1] * side);
    for (const [x, y] of stroke) context.lineTo(x * side, y * side);
    if (stroke.length === 1) context.lineTo(stroke[0][0] * side + 0.01, stroke[0][1] * side);
    context.stroke();
  }
}
