// The heights of many rows: known where they were drawn, supposed elsewhere.
const SUPPOSED_PX = 24;

export class Heights {
  constructor(size) {
    this.size = size;
    this.count = 0;
    this.total = 0;
    this.rows = new Map();
    this.sums = [];
  }

  resize(count) {
    this.count = count;
    this.recount();
  }

  forget() {
    this.rows.clear();
    this.recount();
  }

  recount() {
    const chunks = Math.ceil(this.count / this.size);
    this.sums.length = chunks;
    this.total = 0;
    for (let chunk = 0; chunk < chunks; chunk += 1) {
      const rows = Math.min(this.size, this.count - chunk * this.size);
      const known = this.rows.get(chunk);
      let sum = 0;
      if (known) for (let place = 0; place < rows; place += 1) sum += known[place] || SUPPOSED_PX;
      else sum = rows * SUPPOSED_PX;
      this.sums[chunk] = sum;
      this.total += sum;
    }
  }

  of(index) {
    return this.rows.get(Math.floor(index / this.size))?.[index % this.size] || SUPPOSED_PX;
  }

  // Whether it was another one.
  set(index, height) {
    const change = height - this.of(index);
    const chunk = Math.floor(index / this.size);
    let known = this.rows.get(chunk);
    if (!known) { known = new Uint16Array(this.size); this.rows.set(chunk, known); }
    known[index % this.size] = Math.min(height, 65535);
    this.sums[chunk] += change;
    this.total += change;
    return change !== 0;
  }

  topOf(index) {
    const chunk = Math.floor(index / this.size);
    let top = 0;
    for (let before = 0; before < chunk; before += 1) top += this.sums[before];
    for (let row = chunk * this.size; row < index; row += 1) top += this.of(row);
    return top;
  }

  // The row at a distance from the top, and its own distance.
  at(distance) {
    let chunk = 0;
    let top = 0;
    while (chunk < this.sums.length - 1 && top + this.sums[chunk] <= distance) {
      top += this.sums[chunk];
      chunk += 1;
    }
    let index = chunk * this.size;
    while (index < this.count - 1 && top + this.of(index) <= distance) {
      top += this.of(index);
      index += 1;
    }
    return { index, top };
  }
}
