/**
 * Cuts a stream of bytes into lines, however it is chunked. Lines stay bytes: whoever decodes them sees whole UTF-8
 * sequences only, since no byte of a longer sequence is a line feed (RFC 3629 section 3).
 *
 * @module
 */

const LINE_FEED = 0x0a;

/** Room for the beginning of a line; it doubles as the line grows. */
const FIRST_ROOM_BYTES = 4096;

/** What one chunk completed. */
export interface CompletedLines {
  /** Complete lines without their line feeds, in order. They may share memory with the chunk. */
  lines: Uint8Array[];
  /** The line after them is longer than allowed; nothing more can be read from this stream. */
  tooLong: boolean;
}

/** Cuts one stream. */
export interface LineSplitter {
  /** Takes the next chunk. */
  push(chunk: Uint8Array): CompletedLines;
  /** What stands after the last line feed; empty if nothing does. */
  rest(): Uint8Array;
}

/**
 * Makes a splitter for one stream.
 *
 * @param maxLineBytes longest line, without its line feed; more than that is never held
 */
export function createLineSplitter(maxLineBytes: number): LineSplitter {
  // The line that is not complete yet, in one buffer: chunks may be as small as a byte, and an object for each would
  // cost a hundred times its content.
  let held = new Uint8Array(0);
  let heldBytes = 0;
  let failed = false;

  function hold(piece: Uint8Array): void {
    const needed = heldBytes + piece.length;
    if (needed > held.length) {
      const larger = new Uint8Array(
        Math.max(needed, Math.min(maxLineBytes, held.length * 2), FIRST_ROOM_BYTES),
      );
      larger.set(held.subarray(0, heldBytes));
      held = larger;
    }
    held.set(piece, heldBytes);
    heldBytes = needed;
  }

  function take(): Uint8Array {
    const line = held.subarray(0, heldBytes);
    held = new Uint8Array(0);
    heldBytes = 0;
    return line;
  }

  return {
    push(chunk) {
      const lines: Uint8Array[] = [];
      let start = 0;
      while (!failed && start < chunk.length) {
        const end = chunk.indexOf(LINE_FEED, start);
        const piece = chunk.subarray(start, end === -1 ? chunk.length : end);
        if (heldBytes + piece.length > maxLineBytes) {
          failed = true;
          take();
          break;
        }
        if (end === -1) {
          hold(piece);
          break;
        }
        if (heldBytes === 0) {
          lines.push(piece);
        } else {
          hold(piece);
          lines.push(take());
        }
        start = end + 1;
      }
      return { lines, tooLong: failed };
    },
    rest: take,
  };
}
