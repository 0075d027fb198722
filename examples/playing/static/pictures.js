// Pictures as the server sends them, [rows, columns, base64 of bytes], painted as ink on white paper.

export const NAMES = ["blue", "red", "green", "orange", "purple", "brown", "pink", "cyan"];

const decoded = new WeakMap();

export function bytesOf(picture) {
  if (!decoded.has(picture)) decoded.set(picture, Uint8Array.from(atob(picture[2]), (one) => one.charCodeAt(0)));
  return decoded.get(picture);
}

export function nameOf(path) {
  const colour = NAMES[path[path.length - 1] % NAMES.length];
  return `${path.length > 1 ? "Sub-part" : "Part"} ${path.map((step) => step + 1).join(".")}, ${colour}`;
}

// Translucent inks on white paper: the product over layers of 1 - ink (1 - colour). A layer is [picture, colour].
export function paint(canvas, layers) {
  const [rows, columns] = layers[0][0];
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const light = new Float32Array(rows * columns * 3).fill(1);
  for (const [picture, colour] of layers) {
    const bytes = bytesOf(picture);
    for (let at = 0; at < bytes.length; at += 1) {
      if (bytes[at] === 0) continue;
      for (let c = 0; c < 3; c += 1) light[3 * at + c] *= 1 - (bytes[at] / 255) * (1 - colour[c] / 255);
    }
  }
  for (let at = 0; at < rows * columns; at += 1) {
    for (let c = 0; c < 3; c += 1) image.data[4 * at + c] = 255 * light[3 * at + c];
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export const BLACK = [26, 28, 32];
export const PALE = [206, 209, 214];

export function blank(canvas) {
  canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
}

export function figure(picture, caption, colour = BLACK) {
  const found = document.createElement("figure");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", caption);
  paint(canvas, [[picture, colour]]);
  found.append(canvas);
  return found;
}

export function captioned(picture, caption, colour) {
  const found = figure(picture, caption, colour);
  const text = document.createElement("figcaption");
  text.textContent = caption;
  found.append(text);
  return found;
}
