#!/usr/bin/env node
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { IdSchema, readTlsMaterial, type TlsMaterial } from '@watari/host-agent-client';
import { createHostTools } from '@watari/host-tools';
import { Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';

import { AGENT_VERSION, LINK_DEFAULTS, startHostAgent } from './agent';
import { AgentError, describeError } from './errors';
import { HISTORY_DEFAULTS } from './data-plane/histories';
import { MIRROR_BYTES_DEFAULT } from './moves/page-copy';

interface CliOptions {
  agentId: string;
  state: string;
  tls: string;
  listen: string;
  advertise?: string;
  apiPort: number;
  dataPort: number;
  accelerator?: 'kvm' | 'tcg';
  cache?: string;
  logFile?: string;
  logLevel: string;
  historyBytes: number;
  historyHours: number;
  shareHistories: boolean;
  mirrorBytes: number;
  linkStreams: number;
  linkLossSeconds: number;
  stopGuests: boolean;
}

const EXIT_FAILED = 1;
const HOUR_MS = 3_600_000;

const program = new Command('watari-host-agent')
  .description('Runs guests on this host and moves them, while they run, to another host.')
  .version(AGENT_VERSION)
  .addOption(
    new Option('--agent-id <id>', 'name of this host; its certificate must carry the same')
      .env('WATARI_AGENT_ID')
      .makeOptionMandatory()
      .argParser(parseId),
  )
  .addOption(
    new Option('--state <folder>', 'where the agent keeps its guests; its own alone')
      .env('WATARI_AGENT_STATE')
      .makeOptionMandatory(),
  )
  .addOption(
    new Option('--tls <folder>', 'holds agent-<id>.pem, agent-<id>-key.pem and authority.pem')
      .env('WATARI_AGENT_TLS')
      .makeOptionMandatory(),
  )
  .addOption(
    new Option('--listen <host>', 'address to listen on').env('WATARI_AGENT_LISTEN').default('127.0.0.1'),
  )
  .addOption(
    new Option('--advertise <host>', 'name or address that others reach this host by').env(
      'WATARI_AGENT_ADVERTISE',
    ),
  )
  .addOption(
    new Option('--api-port <port>', '0 takes a free one')
      .env('WATARI_AGENT_API_PORT')
      .default(0)
      .argParser(parsePort),
  )
  .addOption(
    new Option('--data-port <port>', '0 takes a free one')
      .env('WATARI_AGENT_DATA_PORT')
      .default(0)
      .argParser(parsePort),
  )
  .addOption(
    new Option('--accelerator <name>', 'instead of a probe at every start')
      .env('WATARI_AGENT_ACCELERATOR')
      .choices(['kvm', 'tcg']),
  )
  .addOption(new Option('--cache <folder>', "Watari's cache of programs").env('WATARI_CACHE'))
  .addOption(new Option('--log-file <file>', 'instead of standard error').env('WATARI_AGENT_LOG_FILE'))
  .addOption(new Option('--log-level <level>').env('WATARI_LOG_LEVEL').default('info'))
  .addOption(
    new Option('--history-bytes <bytes>', 'disk space for what moved guests leave here; 0 keeps nothing')
      .env('WATARI_AGENT_HISTORY_BYTES')
      .default(HISTORY_DEFAULTS.bytesMax)
      .argParser(parseCount),
  )
  .addOption(
    new Option('--history-hours <hours>', 'how long that is kept')
      .env('WATARI_AGENT_HISTORY_HOURS')
      .default(HISTORY_DEFAULTS.expiresAfterMs / HOUR_MS)
      .argParser(parseCount),
  )
  .addOption(
    new Option('--share-histories', 'a guest may begin with what another guest of its tenant left here')
      .env('WATARI_AGENT_SHARE_HISTORIES')
      .default(HISTORY_DEFAULTS.isSharedWithinTenant),
  )
  .addOption(
    new Option(
      '--mirror-bytes <bytes>',
      "memory of each move for what is held of the guest's; 0 holds nothing",
    )
      .env('WATARI_AGENT_MIRROR_BYTES')
      .default(MIRROR_BYTES_DEFAULT)
      .argParser(parseCount),
  )
  .addOption(
    new Option('--link-streams <count>', 'connections that a move from here is spread over, 1 to 16')
      .env('WATARI_AGENT_LINK_STREAMS')
      .default(LINK_DEFAULTS.streams)
      .argParser((text) => parseWithin(text, 1, 16)),
  )
  .addOption(
    new Option('--link-loss-seconds <seconds>', 'how long they may all be gone before a move is given up')
      .env('WATARI_AGENT_LINK_LOSS_SECONDS')
      .default(LINK_DEFAULTS.lossLimitMs / 1_000)
      .argParser((text) => parseWithin(text, 1, 3_600)),
  )
  .option('--stop-guests', 'power guests off when the agent ends; without it they run on', false)
  .action(run);

async function run(options: CliOptions): Promise<void> {
  const logger = pino(
    { level: options.logLevel, base: null, timestamp: pino.stdTimeFunctions.isoTime },
    // Standard output is for the one line that says where the agent listens.
    pino.destination(
      options.logFile ? { dest: options.logFile, mkdir: true, sync: true } : { dest: 2, sync: true },
    ),
  );
  const agent = await startHostAgent({
    agentId: options.agentId,
    stateFolder: resolve(options.state),
    tls: await readTls(resolve(options.tls), options.agentId),
    listenHost: options.listen,
    ...(options.advertise !== undefined && { advertisedHost: options.advertise }),
    apiPort: options.apiPort,
    dataPort: options.dataPort,
    ...(options.accelerator !== undefined && { accelerator: options.accelerator }),
    history: {
      bytesMax: options.historyBytes,
      expiresAfterMs: options.historyHours * HOUR_MS,
      isSharedWithinTenant: options.shareHistories,
    },
    mirrorBytesMax: options.mirrorBytes,
    link: { streams: options.linkStreams, lossLimitMs: options.linkLossSeconds * 1_000 },
    tools: createHostTools(options.cache === undefined ? {} : { cacheDir: resolve(options.cache) }),
    logger,
  });
  const stop = (): void => {
    agent.stop({ stopGuests: options.stopGuests }).then(
      () => process.exit(0),
      (error: unknown) => fail(error),
    );
  };
  process.once('SIGTERM', stop).once('SIGINT', stop);
  const { agentId, apiUrl, dataAddress } = agent;
  process.stdout.write(`${JSON.stringify({ agentId, apiUrl, dataAddress })}\n`);
}

async function readTls(folder: string, agentId: string): Promise<TlsMaterial> {
  try {
    return await readTlsMaterial({
      certificatePath: join(folder, `agent-${agentId}.pem`),
      keyPath: join(folder, `agent-${agentId}-key.pem`),
      authorityPath: join(folder, 'authority.pem'),
    });
  } catch (cause) {
    const there = await readdir(folder).catch(() => []);
    throw new AgentError(
      'TLS_FILES_MISSING',
      `${folder} does not hold agent-${agentId}.pem, agent-${agentId}-key.pem and authority.pem ` +
        `(found: ${there.join(', ') || 'nothing'}). Have them issued, and name the folder with --tls.`,
      { cause },
    );
  }
}

function parseId(text: string): string {
  if (IdSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError('Write 1 to 64 letters, digits, "-" or "_".');
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (port >= 0 && port <= 65_535) return port;
  throw new InvalidArgumentError('Write a port from 0 to 65535.');
}

function parseWithin(text: string, min: number, max: number): number {
  const value = /^\d{1,6}$/.test(text) ? Number(text) : -1;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`);
}

function parseCount(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Write a whole number.');
}

function fail(error: unknown): never {
  const { code, reason } = describeError(error);
  process.stderr.write(`${code}: ${reason}\n`);
  process.exit(EXIT_FAILED);
}

program.parseAsync().catch(fail);
