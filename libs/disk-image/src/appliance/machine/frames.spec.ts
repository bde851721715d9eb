import { ANSWER_BYTES_MAX, FrameDecoder, PAYLOAD_BYTES_MAX, encodeFrame } from './frames';

const frame = (json: unknown, payload = Buffer.alloc(0)): Buffer =>
  Buffer.concat(encodeFrame({ json, payload }));
const header = (textBytes: number, payloadBytes: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32BE(textBytes, 0);
  bytes.writeUInt32BE(payloadBytes, 4);
  return bytes;
};

describe('frames', () => {
  it.each([1, 2, 7, 1000])('come whole out of pieces of %i bytes', (pieceBytes) => {
    const payload = Buffer.from(Array.from({ length: 300 }, (_, index) => index % 256));
    const stream = Buffer.concat([frame({ a: 'é\udc80' }, payload), frame([]), frame({ b: 1 }, payload)]);
    const decoder = new FrameDecoder();
    const found = [];
    for (let at = 0; at < stream.length; at += pieceBytes)
      found.push(...decoder.push(stream.subarray(at, at + pieceBytes)));
    expect(found).toEqual([
      { json: { a: 'é\udc80' }, payload },
      { json: [], payload: Buffer.alloc(0) },
      { json: { b: 1 }, payload },
    ]);
  });

  it.each([
    ['text', header(ANSWER_BYTES_MAX + 1, 0)],
    ['bytes', header(2, PAYLOAD_BYTES_MAX + 1)],
    ['both', header(0xffffffff, 0xffffffff)],
  ])('are refused by their header alone when there is too much of %s', (_, bytes) => {
    expect(() => new FrameDecoder().push(bytes)).toThrow(
      expect.objectContaining({ code: 'APPLIANCE_ANSWER_INVALID' }),
    );
  });

  it('are refused when they hold no JSON', () => {
    const bytes = Buffer.concat([header(3, 0), Buffer.from('{"a')]);
    expect(() => new FrameDecoder().push(bytes)).toThrow(/no JSON/);
  });

  it('are not made longer than the appliance takes', () => {
    expect(() => encodeFrame({ json: {}, payload: Buffer.alloc(PAYLOAD_BYTES_MAX + 1) })).toThrow(RangeError);
  });
});
