/** A ledger store in memory, which can be made to fail. */
import { type Ledger, type LedgerStore, openLedger } from "../../proxy/pods/ledger.ts";
import { MemoryLog } from "./log.ts";

export class MemoryLedgerStore implements LedgerStore {
  text: string | undefined;
  damaged: string | undefined;
  appends = 0;
  replaces = 0;
  /** The next writes fail with this. */
  failure: Error | undefined;

  constructor(text?: string) {
    this.text = text;
  }

  read(): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.text === undefined ? undefined : new TextEncoder().encode(this.text));
  }

  append(text: string): Promise<void> {
    return this.#write(() => {
      this.appends++;
      this.text = (this.text ?? "") + text;
    });
  }

  replace(text: string): Promise<void> {
    return this.#write(() => {
      this.replaces++;
      this.text = text;
    });
  }

  setAside(): Promise<void> {
    this.damaged = this.text;
    this.text = undefined;
    return Promise.resolve();
  }

  #write(write: () => void): Promise<void> {
    if (this.failure !== undefined) {
      return Promise.reject(this.failure);
    }
    write();
    return Promise.resolve();
  }
}

/** An empty ledger in memory. */
export function memoryLedger(store = new MemoryLedgerStore()): Promise<Ledger> {
  return openLedger(store, new MemoryLog());
}
