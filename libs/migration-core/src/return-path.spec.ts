import { ReturnPathGate } from './return-path';
import { StreamWriter } from './testing/stream-writer';

const message = (type: number, payload: Uint8Array = Buffer.alloc(4)): Buffer =>
  new StreamWriter().u16(type).u16(payload.length).raw(payload).bytes();
const pong = message(2);
const agreement = message(7, Buffer.alloc(0));
const unknown = message(0x1234);

function gate(): { gate: ReturnPathGate; passed: () => string } {
  const pieces: Uint8Array[] = [];
  return {
    gate: new ReturnPathGate((bytes) => pieces.push(bytes)),
    passed: () => Buffer.concat(pieces).toString('hex'),
  };
}

describe('the gate on the return path', () => {
  it('holds the agreement to switch over, and nothing else, until it is let through', () => {
    const bytes = Buffer.concat([pong, agreement, pong]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { gate: one, passed } = gate();
      one.push(bytes.subarray(0, cut));
      one.push(bytes.subarray(cut));
      expect(one.isAgreed).toBe(true);
      expect(passed()).toBe(Buffer.concat([pong, pong]).toString('hex'));
      one.release();
      one.release();
      expect(passed()).toBe(Buffer.concat([pong, pong, agreement]).toString('hex'));
    }
  });

  it('lets the agreement through at once when that was said before it came', () => {
    const { gate: one, passed } = gate();
    one.release();
    expect(one.isAgreed).toBe(false);
    one.push(agreement);
    expect(passed()).toBe(agreement.toString('hex'));
  });

  it('passes on all that follows an unknown message, as it is', () => {
    const bytes = Buffer.concat([pong, unknown, agreement, pong]);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const { gate: one, passed } = gate();
      one.push(bytes.subarray(0, cut));
      one.push(bytes.subarray(cut));
      expect(passed()).toBe(bytes.toString('hex'));
      expect(one.isAgreed).toBe(false);
    }
  });
});
