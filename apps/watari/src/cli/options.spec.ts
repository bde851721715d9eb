import { sizeOption } from './options';

describe('a size on the command line', () => {
  it('is a number of bytes, or of their powers of 1024', () => {
    expect(['0', '512', '16G', '3k', '2T'].map(sizeOption)).toEqual([
      0,
      512,
      16 * 1024 ** 3,
      3_072,
      2 * 1024 ** 4,
    ]);
  });

  it.each(['', '-1', '1.5G', '16 G', 'G', '16GB', '9999999999'])('refuses "%s"', (text) => {
    expect(() => sizeOption(text)).toThrow('such as 16G');
  });
});
