// How a value that holds secrets travels through this process without ever being printed by accident.

import { inspect } from "node:util";

/** A value that prints as `[sealed]` wherever it is logged, inspected or turned into JSON. `open()` is the only way in. */
export class Sealed<T> {
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself. Call it where the value is used, and keep the result in a local variable. */
  open(): T {
    return this.#value;
  }

  toString(): string {
    return "[sealed]";
  }

  toJSON(): string {
    return "[sealed]";
  }

  [inspect.custom](): string {
    return "[sealed]";
  }
}
