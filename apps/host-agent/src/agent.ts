import type { Server } from 'node:net';
import type { AddressInfo } from 'node:net';

import { type Address, type TlsMaterial } from '@watari/host-agent-client';
import { createHostTools, type HostTools } from '@watari/host-tools';
import { FolderLock } from '@watari/process-identity';
import { type Logger, pino } from 'pino';

import { DataPlane } from './data-plane/data-plane';
import type { HistorySettings } from './data-plane/histories';
import { Guests } from './guests/guests';
import { readBootId, readHostFacts } from './host-facts';
import { apiRoutes } from './http/api-routes';
import { createApiServer } from './http/api-server';
import { AgentMetrics } from './metrics/agent-metrics';
import { createDataServer } from './moves/link-security';
import { Moves } from './moves/moves';
import { MIRROR_BYTES_DEFAULT } from './moves/page-copy';
import type { LinkSettings } from './moves/source-move';
import { Traces } from './moves/traces';
import { examinePlatform } from './qemu/platform';
import { StateFolders } from './state/folders';

/** Told in /health; raised with the package. */
export const AGENT_VERSION = '0.1.0';

export interface HostAgentOptions {
  readonly agentId: string;
  /** Belongs to this agent alone, and is where it finds its guests again. Absolute. */
  readonly stateFolder: string;
  readonly tls: TlsMaterial;
  /** Where API and data address listen; default 127.0.0.1. */
  readonly listenHost?: string;
  /** What others are told to connect to, when that is another name; default `listenHost`. */
  readonly advertisedHost?: string;
  /** 0 takes a free one. Default 0. */
  readonly apiPort?: number;
  readonly dataPort?: number;
  readonly tools?: HostTools;
  /** Default: KVM if a probe guest boots under it, which is waited for up to 8 s, else software emulation. */
  readonly accelerator?: 'kvm' | 'tcg';
  /** What guests that moved leave here, so that they come back cheaply. */
  readonly history?: Partial<HistorySettings>;
  /** Memory that each move may take for what is held of the guest's. Default: MIRROR_BYTES_DEFAULT. */
  readonly mirrorBytesMax?: number;
  /** Connections of a move's link, and how long they may all be gone before the move is given up. */
  readonly link?: Partial<LinkSettings>;
  readonly logger?: Logger;
}

export const LINK_DEFAULTS: LinkSettings = { streams: 2, lossLimitMs: 60_000 };

export interface HostAgent {
  readonly agentId: string;
  readonly apiUrl: string;
  readonly dataAddress: Address;
  /** Ends the agent. Guests run on, unless they are to be stopped too; moves that are not committed are given up. */
  stop(options?: { stopGuests?: boolean }): Promise<void>;
}

/**
 * Starts an agent: takes up the guests that a former one left, then listens. Rejects with DATA_FOLDER_IN_USE when
 * another agent works with the state folder, with what `examinePlatform` throws, or when a port is taken.
 */
export async function startHostAgent(options: HostAgentOptions): Promise<HostAgent> {
  const { agentId, tls } = options;
  const logger = (options.logger ?? pino({ level: 'silent' })).child({ agentId });
  const folders = await StateFolders.open(options.stateFolder);
  const lock = await FolderLock.take(folders.root);
  const servers: Server[] = [];
  let plane: DataPlane | null = null;
  try {
    const [platform, bootId, host] = await Promise.all([
      examinePlatform(options.tools ?? createHostTools(), options.accelerator),
      readBootId(),
      readHostFacts(),
    ]);
    logger.info({ accelerator: platform.accelerator, why: platform.acceleratorReason }, 'accelerator');
    const guests = new Guests({ agentId, platform, folders, logger });
    plane = await DataPlane.start(folders, options.history ?? {}, logger);
    const traces = new Traces(folders, logger);
    const address = { apiUrl: '', data: { host: '', port: 0 } };
    const moves = new Moves({
      agentId,
      guests,
      platform,
      folders,
      plane,
      traces,
      mirrorBytesMax: options.mirrorBytesMax ?? MIRROR_BYTES_DEFAULT,
      link: { ...LINK_DEFAULTS, ...options.link },
      onEnded: (status) => metrics.moveEnded(status),
      tls,
      bootId,
      logger,
      apiUrl: () => address.apiUrl,
    });
    const metrics = new AgentMetrics({
      agentId,
      version: AGENT_VERSION,
      activeMoves: () => moves.active(),
      historyBytes: async () => (await plane!.listHistories()).reduce((sum, { bytes }) => sum + bytes, 0),
    });
    await moves.load();
    await guests.adoptAll();

    const listenHost = options.listenHost ?? '127.0.0.1';
    const advertisedHost = options.advertisedHost ?? listenHost;
    const dataServer = createDataServer(tls, logger, (socket, peerId) => moves.accept(socket, peerId));
    const health = () => ({
      agentId,
      version: AGENT_VERSION,
      qemuVersion: platform.qemuVersion,
      accelerator: platform.accelerator,
      dataAddress: address.data,
      guests: guests.count,
      host,
    });
    const apiServer = createApiServer(
      tls,
      apiRoutes({ agentId, bootId, guests, moves, plane, metrics, health }),
      logger,
    );
    servers.push(dataServer, apiServer);
    address.data = {
      host: advertisedHost,
      port: await listen(dataServer, listenHost, options.dataPort ?? 0),
    };
    const apiPort = await listen(apiServer, listenHost, options.apiPort ?? 0);
    address.apiUrl = `https://${advertisedHost.includes(':') ? `[${advertisedHost}]` : advertisedHost}:${apiPort}`;
    await moves.settleAll();
    logger.info(
      { apiUrl: address.apiUrl, dataAddress: address.data, guests: guests.count },
      'agent is ready',
    );

    let stopping: Promise<void> | null = null;
    const stop = async (stopGuests: boolean): Promise<void> => {
      for (const server of servers) server.close();
      await moves.stop();
      await plane?.close();
      await metrics.close();
      if (stopGuests) for (const { guestId } of guests.all()) await guests.delete(guestId);
      guests.releaseAll();
      apiServer.closeAllConnections();
      await lock.release();
      logger.info({ stopGuests }, 'agent stopped');
    };
    return {
      agentId,
      apiUrl: address.apiUrl,
      dataAddress: address.data,
      stop: (how = {}) => (stopping ??= stop(how.stopGuests ?? false)),
    };
  } catch (error) {
    for (const server of servers) server.close();
    await plane?.close();
    await lock.release();
    throw error;
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}
