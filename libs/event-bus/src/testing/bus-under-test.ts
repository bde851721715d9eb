/** How a process reaches the bus; plain data, so that a spec can hand it to a child. */
export type Reach =
  | { readonly kind: 'kafka'; readonly brokers: readonly string[]; readonly clientId: string }
  | { readonly kind: 'postgres'; readonly databaseUrl: string };

/** A real bus with the power switch of its server. */
export interface BusUnderTest {
  readonly reach: Reach;
  /** A database for inbox, offsets and effects; with the Postgres bus on the same server, as when embedded. */
  readonly databaseUrl: string;
  /** Ends the server as it would end in operation. */
  stopBroker(): Promise<void>;
  /** Starts it again, with its data, under the same address. */
  startBroker(): Promise<void>;
  close(): Promise<void>;
}
