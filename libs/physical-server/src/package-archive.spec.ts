import { archiveNames } from './package-archive';

describe('the list of archives', () => {
  it('is read from what apt prints, with epochs as they are in file names', () => {
    const printed = [
      'Reading package lists...',
      'The following NEW packages will be installed:',
      "'http://mirror.example/pool/m/mawk_1.3.4_amd64.deb' mawk_1.3.4_amd64.deb 116124 SHA256:00",
      "'http://mirror.example/pool/l/libcap2_2.66-4%2bb1_amd64.deb' libcap2_1%3a2.66-4+b1_amd64.deb 27004 SHA256:11",
      '',
    ].join('\n');
    expect(archiveNames(printed)).toEqual(['mawk_1.3.4_amd64.deb', 'libcap2_1%3a2.66-4+b1_amd64.deb']);
  });

  it('is empty when apt prints no address', () => {
    expect(archiveNames('Reading package lists...\n0 upgraded, 0 newly installed.\n')).toEqual([]);
  });
});
