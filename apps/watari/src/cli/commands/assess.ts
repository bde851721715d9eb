import type { Command } from 'commander';
import type { ApiClient } from '../api-client';
import { contextOf } from '../context';
import { EXIT } from '../errors';
import type { ServerView } from './inventory';

export interface SupportView {
  readonly readiness: string;
  readonly concerns: readonly {
    readonly ruleId: string;
    readonly severity: string;
    readonly text: string;
    readonly remedy: string;
    readonly source: string;
  }[];
}

export interface LicenceView {
  readonly verdict: string;
  readonly lines: readonly { readonly product: string; readonly gap: number; readonly derivation: string }[];
  readonly unknownProducts: readonly string[];
}

export function addAssess(program: Command, signal: AbortSignal): void {
  program
    .command('assess <server>')
    .description('May this server run on that host: support matrix and licences answer')
    .requiredOption('--to <host>', 'the host to move to')
    .addHelpText('after', '\nExit code 3 when it may not.')
    .action(async (server: string, { to }: { to: string }, command: Command) => {
      const { api, output } = contextOf(command, signal);
      const assessed = await assess(await api(), server, to);
      output.result(assessed, describeAssessment(assessed));
      const mayNot = assessed.support.readiness === 'not-ready' || assessed.licences.verdict === 'gap';
      if (mayNot) process.exitCode = EXIT.refused;
    });
}

export interface Assessment {
  readonly server: ServerView;
  readonly support: SupportView;
  readonly licences: LicenceView;
}

export async function assess(api: ApiClient, serverName: string, targetHostId: string): Promise<Assessment> {
  const server = await api.get<ServerView>(`/servers/${encodeURIComponent(serverName)}`);
  const question = { serverId: server.serverId, targetHostId };
  const support = await api.postSettled<SupportView>('/support-assessments', question);
  const licences = await api.postSettled<LicenceView>('/licence-assessments', question);
  return { server, support, licences };
}

export function describeAssessment({ server, support, licences }: Assessment): string {
  const concerns = support.concerns.map(
    ({ severity, text, remedy, ruleId }) => `  ${severity}: ${text}${remedy ? ` ${remedy}` : ''} [${ruleId}]`,
  );
  const lines = licences.lines.map(
    ({ product, gap, derivation }) =>
      `  ${product}: ${gap > 0 ? `${gap} missing` : 'covered'} (${derivation})`,
  );
  return [
    `${server.name}: support ${support.readiness}, licences ${licences.verdict}`,
    ...concerns,
    ...lines,
    ...(licences.unknownProducts.length > 0
      ? [`  no terms are held for: ${licences.unknownProducts.join(', ')}`]
      : []),
  ].join('\n');
}
