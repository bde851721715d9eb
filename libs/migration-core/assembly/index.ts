/*
 * The page kernels, for the AssemblyScript compiler. They allocate nothing and know no page but by pointer: the memory
 * is imported, and who calls says where everything lies. What each does is told in `../src/kernels/kernels.ts`; the
 * figures that both sides must agree on stand in `./layout.ts`.
 */
export { comparePages, copyPages, scanZero } from './pages';
export { hashPages } from './hash';
export { applyDeltas, encodeDeltas } from './delta';
export { buildCrc32cTables, crc32c } from './crc32c';
