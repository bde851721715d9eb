export { median, writeTable } from './table';
export { guestProgram, readReports } from './guest-program';
