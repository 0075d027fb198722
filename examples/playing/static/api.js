// Questions to the server. It keeps nothing: trees travel with every question.

export async function get(path) {
  return read(await fetch(path));
}

export async function ask(name, body) {
  const options = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  return read(await fetch(`/api/${name}`, options));
}

async function read(response) {
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

// One question at a time, and of those that come meanwhile only the last: a drawing is parsed as often as the model can.
export class Latest {
  constructor(then, failed) {
    this.then = then;
    this.failed = failed;
    this.waiting = null;
    this.busy = false;
    this.turn = 0;
  }

  ask(name, body, about) {
    this.waiting = [name, body, about];
    if (!this.busy) this.run();
  }

  // Forget what waits, and what is on its way.
  drop() {
    this.waiting = null;
    this.turn += 1;
  }

  async run() {
    this.busy = true;
    while (this.waiting) {
      const [name, body, about] = this.waiting;
      const turn = this.turn;
      this.waiting = null;
      try {
        const answer = await ask(name, body());
        if (turn === this.turn) this.then(answer, about);
      } catch (error) {
        if (turn === this.turn) this.failed(error);
      }
    }
    this.busy = false;
  }
}
