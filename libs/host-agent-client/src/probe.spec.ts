import { formatProbe, parseProbe, ProbeInvalid } from './probe';

describe('probe', () => {
  it.each(['tcp:22', 'http:80/', 'http:8080/health?full=1', 'console:login: '])(
    'reads %s and writes it back',
    (text) => {
      expect(formatProbe(parseProbe(text))).toBe(text);
    },
  );

  it('takes / as the path of an http probe without one', () => {
    expect(parseProbe('http:80')).toEqual({ kind: 'http', port: 80, path: '/' });
  });

  it.each([
    '',
    'tcp',
    'tcp:',
    'tcp:0',
    'tcp:65536',
    'tcp:22x',
    'http:80path',
    'http:80/a b',
    'udp:53',
    'console:',
  ])('refuses "%s" and says how to write one', (text) => {
    expect(() => parseProbe(text)).toThrow(ProbeInvalid);
    expect(() => parseProbe(text)).toThrow(/tcp:PORT, http:PORT\/PATH or console:TEXT/);
  });
});
