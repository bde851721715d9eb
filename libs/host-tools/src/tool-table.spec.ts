import { isAtLeast } from './tool-table';

describe('a version', () => {
  it.each([
    ['10.0.2', '9.0.0', true],
    ['9.0.0', '9.0.0', true],
    ['9.0', '9.0.0', true],
    ['7.2.17', '9.0.0', false],
    ['8.9.9', '9.0.0', false],
    [undefined, '9.0.0', false],
  ])('%s against %s is enough: %s', (version, min, isEnough) => {
    expect(isAtLeast(version, min)).toBe(isEnough);
  });
});
