/** A waiter with a doorbell: a ring while nobody waits is not lost, the next wait returns at once. */
export class Pulse {
  private isRung = false;
  private ringWaiter: (() => void) | undefined;

  ring(): void {
    this.isRung = true;
    this.ringWaiter?.();
  }

  /** Resolves when rung, or after `ms`. One waiter at a time. */
  async next(ms: number): Promise<void> {
    if (!this.isRung) {
      await new Promise<void>((done) => {
        const timer = setTimeout(done, ms);
        this.ringWaiter = () => {
          clearTimeout(timer);
          done();
        };
      });
      this.ringWaiter = undefined;
    }
    this.isRung = false;
  }
}
