import { CliError } from './errors';

export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** More than any event of ours; bounds what a stream without line ends makes us hold. */
const EVENT_CHARS_MAX = 16 * 1024 * 1024;

/** Takes text of a `text/event-stream` in pieces of any size, gives whole events (WHATWG HTML, section 9.2). */
export class EventStreamParser {
  #rest = '';
  #event = '';
  #data: string[] = [];
  #chars = 0;

  /** Throws CliError ANSWER_TOO_LARGE. */
  push(text: string): ServerSentEvent[] {
    this.#rest += text;
    const events: ServerSentEvent[] = [];
    for (let end = this.#rest.indexOf('\n'); end >= 0; end = this.#rest.indexOf('\n')) {
      const line = this.#rest.slice(0, end).replace(/\r$/, '');
      this.#rest = this.#rest.slice(end + 1);
      if (line !== '') this.#take(line);
      else if (this.#data.length > 0) events.push(this.#finish());
    }
    if (this.#rest.length + this.#chars > EVENT_CHARS_MAX)
      throw new CliError('ANSWER_TOO_LARGE', 'One event of the answer is larger than 16 MiB.');
    return events;
  }

  #take(line: string): void {
    this.#chars += line.length;
    const at = line.indexOf(':');
    // A line that begins with a colon keeps the connection alive.
    if (at === 0) return;
    const field = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
    if (field === 'event') this.#event = value;
    if (field === 'data') this.#data.push(value);
  }

  #finish(): ServerSentEvent {
    const event = { event: this.#event || 'message', data: this.#data.join('\n') };
    this.#event = '';
    this.#data = [];
    this.#chars = 0;
    return event;
  }
}
