import { EventStreamParser } from './event-stream';

describe('a stream of server-sent events', () => {
  const text =
    ': hello\nevent: move\nid: 7\ndata: {"a":\ndata: 1}\n\nevent: migration\r\ndata:x\r\n\r\ndata: alone\n\n';
  const events = [
    { event: 'move', data: '{"a":\n1}' },
    { event: 'migration', data: 'x' },
    { event: 'message', data: 'alone' },
  ];

  it.each([1, 2, 7, 1_000])('is read in pieces of %i characters', (length) => {
    const parser = new EventStreamParser();
    const found = [];
    for (let at = 0; at < text.length; at += length) found.push(...parser.push(text.slice(at, at + length)));
    expect(found).toEqual(events);
  });

  it('gives no event that has not ended', () => {
    expect(new EventStreamParser().push('event: move\ndata: half\n')).toEqual([]);
  });

  it('refuses an event without end, whether in one line or in many', () => {
    const piece = 'x'.repeat(1024 * 1024);
    const push = (make: string) => () => {
      const parser = new EventStreamParser();
      for (let count = 0; count < 20; count += 1) parser.push(make);
    };
    expect(push(piece)).toThrow('16 MiB');
    expect(push(`data: ${piece}\n`)).toThrow('16 MiB');
  });
});
