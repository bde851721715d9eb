import { ColumnPacker, ColumnUnpacker, CONTENT_LANES_MAX } from './column-coding';
import { availableCodecs, CODEC_ID, codecOf, storedCodec } from './compression';
import { compressionCodeOf, rejectionCodeOf } from './compression/testing/compression-code-of';
import { heapLikeBytes } from './compression/testing/page-content';

const ids = availableCodecs().map(({ id }) => id);
const hasStreams = ids.includes(CODEC_ID.zstdStream);

describe.each(ids)('columns of codec %s', (id) => {
  it('come back as they were, those of either kind and every lane', async () => {
    const packer = new ColumnPacker(codecOf(id, [id]));
    const unpacker = new ColumnUnpacker(ids);
    for (let turn = 0; turn < 30; turn += 1) {
      const bytes = heapLikeBytes(300 + turn * 1_000, turn);
      const { column } = await packer.pack(
        turn % 3 === 0 ? 'said' : 'content',
        bytes,
        1,
        turn % CONTENT_LANES_MAX,
      );
      expect(Buffer.compare(await unpacker.unpack(column, bytes.length), bytes)).toBe(0);
    }
    packer.close();
    unpacker.close();
  });

  it('are stored when they are short, without having kept a worker busy', async () => {
    const packer = new ColumnPacker(codecOf(id, [id]));
    const bytes = Buffer.alloc(511);
    expect(await packer.pack('content', bytes, 1, 0)).toEqual({
      column: { coding: CODEC_ID.stored, bytes },
      busyMs: null,
    });
  });
});

it('refuses a codec that was not agreed on, and a lane that no agent uses', async () => {
  const unpacker = new ColumnUnpacker([CODEC_ID.stored]);
  const column = (coding: number) => ({ coding, bytes: Buffer.alloc(4) });
  for (const coding of [CODEC_ID.zstd, CODEC_ID.zstdStream, CODEC_ID.lz4, 15, 0x10])
    expect(await rejectionCodeOf(unpacker.unpack(column(coding), 4))).toBe('COMPRESSION_CODEC_UNKNOWN');
  expect(await unpacker.unpack(column(CODEC_ID.stored), 4)).toHaveLength(4);
  expect(compressionCodeOf(() => codecOf(storedCodec.id, ids))).toBe('');
});

(hasStreams ? it : it.skip)('refuses a lane of a stream beyond those that agents use', async () => {
  const unpacker = new ColumnUnpacker(ids);
  const coding = CODEC_ID.zstdStream | ((CONTENT_LANES_MAX + 1) << 4);
  expect(await rejectionCodeOf(unpacker.unpack({ coding, bytes: Buffer.alloc(4) }, 4))).toBe(
    'COMPRESSION_CODEC_UNKNOWN',
  );
});
