import { appendFile, readFile, writeFile } from 'node:fs/promises';

import { type GuestEvent, GuestEventSchema } from '@watari/host-agent-client';

/** A guest that resets in a loop must not fill the disk; the oldest events go first. */
const EVENTS_KEPT = 5_000;
const EVENTS_MAX = 2 * EVENTS_KEPT;

/** Events of one guest since it started on this host, kept over restarts of the agent. */
export class EventLog {
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(
    private readonly path: string,
    private events: GuestEvent[],
  ) {}

  static async open(path: string): Promise<EventLog> {
    let text = '';
    try {
      text = await readFile(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return new EventLog(path, text.split('\n').flatMap(readEvent));
  }

  get all(): readonly GuestEvent[] {
    return this.events;
  }

  /** Rejects when the file cannot be written; listeners have been told then. */
  add(event: GuestEvent): Promise<void> {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
    const isFull = this.events.length > EVENTS_MAX;
    if (isFull) this.events = this.events.slice(-EVENTS_KEPT);
    const text = isFull ? this.events.map(lineOf).join('') : lineOf(event);
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(() => (isFull ? writeFile : appendFile)(this.path, text, { mode: 0o600 }));
    return this.#writing;
  }

  /** Returns how to stop listening. */
  listen(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

function lineOf(event: GuestEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** A line that was cut short by a crash counts for nothing. */
function readEvent(line: string): GuestEvent[] {
  if (line === '') return [];
  try {
    return [GuestEventSchema.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}
