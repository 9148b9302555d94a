// What a test opened, closed in reverse order even when the test failed.

export class Scope {
  #closers = [];

  /** Registers `thing` (or a promise of it) to be closed by `close`, and hands it back. */
  async add(thing, close = (t) => t.close()) {
    const opened = await thing;
    this.#closers.push(() => close(opened));
    return opened;
  }

  /** Closes everything; fails with the first failure after all were tried. */
  async close() {
    const failures = [];
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
