import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

describe('the compiled kernels', () => {
  it('are what their sources give', () => {
    const script = join(__dirname, '..', '..', 'assembly', 'build.mjs');
    const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  }, 120_000);
});
