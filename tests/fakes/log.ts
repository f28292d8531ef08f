/** A log that keeps its lines for tests. */
import type { Log, LogFields } from "../../proxy/log.ts";

export interface LogLine {
  level: "debug" | "info" | "warn" | "error";
  event: string;
  message: string;
  fields: LogFields;
}

export class MemoryLog implements Log {
  readonly lines: LogLine[] = [];

  debug(event: string, message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "debug", event, message, fields });
  }

  info(event: string, message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "info", event, message, fields });
  }

  warn(event: string, message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "warn", event, message, fields });
  }

  error(event: string, message: string, fields: LogFields = {}): void {
    this.lines.push({ level: "error", event, message, fields });
  }

  /** Names of all events so far. */
  events(): string[] {
    return this.lines.map((line) => line.event);
  }

  /** Lines of one event. */
  of(event: string): LogLine[] {
    return this.lines.filter((line) => line.event === event);
  }
}
