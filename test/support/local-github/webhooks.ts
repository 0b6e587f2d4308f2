import { createHmac, randomUUID } from "node:crypto";
import { seededRandom } from "./random.ts";
import { simpleUser, webhookRepository } from "./serialise.ts";
import type { App, Installation, Repository, User } from "./types.ts";
import { UNASKED_EVENTS, type World } from "./world.ts";

/** GitHub gives a receiver ten seconds: https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks */
const RECEIVER_TIMEOUT_MILLISECONDS = 10_000;

export interface Delivery {
  /** The `X-GitHub-Delivery` header; the same when it is redelivered. */
  id: string;
  number: number;
  event: string;
  action: string | null;
  app: App;
  installation: Installation;
  repository: Repository | undefined;
  payload: Record<string, unknown>;
  at: Date;
  status: "pending" | "delivered" | "refused" | "failed" | "dropped" | "no-receiver";
  /** HTTP status of the last answer; undefined where there was none. */
  answerStatus: number | undefined;
  attempts: number;
}

export interface Disturbance {
  /** Shares of deliveries from 0 to 1. */
  drop?: number;
  duplicate?: number;
  reorder?: number;
  seed?: number;
}

export interface Emission {
  event: string;
  action?: string;
  repository?: Repository;
  sender: User;
  body: Record<string, unknown>;
  /** Only to this installation; else to every installation that covers the repository. */
  installation?: Installation;
  /** Only to installations of this App. */
  onlyTo?: App;
}

/** Sends signed events over HTTP to the Apps that subscribe to them, and keeps a log. */
export class Webhooks {
  readonly deliveries: Delivery[] = [];
  private readonly world: World;
  private readonly onEmit: (event: string, action: string | undefined, payload: unknown) => void;
  private readonly inFlight = new Set<Promise<unknown>>();
  private disturbance: Disturbance = {};
  private random = seededRandom(1);
  private held: Delivery | undefined;
  private line: Promise<void> = Promise.resolve();
  private waiting = 0;

  constructor(world: World, onEmit: (event: string, action: string | undefined, payload: unknown) => void) {
    this.world = world;
    this.onEmit = onEmit;
  }

  /** From now on loses, doubles and reorders the given shares of deliveries, repeatably by seed. `{}` ends it. */
  disturb(disturbance: Disturbance): void {
    this.disturbance = disturbance;
    this.random = seededRandom(disturbance.seed ?? 1);
  }

  /** Whether anybody would get this event. */
  hasAudience(event: string, repository: Repository): boolean {
    return this.audience({ event, repository, sender: repository.owner, body: {} }).length > 0;
  }

  /** Announces what is true now. */
  emit(emission: Emission): void {
    const announced = this.audience(emission).map((installation) => ({
      installation,
      // A delivery says what was true then: later changes must not show in it.
      payload: structuredClone(this.payload(emission, installation)),
    }));
    const enter = (): void => {
      for (const { installation, payload } of announced) this.enter(emission, installation, payload);
    };
    if (this.waiting === 0) enter();
    else this.queue(async () => enter());
  }

  /** Announces with a body that takes time to make; events emitted later wait for it, so that order is kept. */
  emitWith(emission: Emission, makeBody: () => Promise<Record<string, unknown>>): void {
    const audience = this.audience(emission);
    if (audience.length === 0) return;
    const sender = audience.map((installation) => structuredClone(this.payload(emission, installation)));
    const making = makeBody();
    this.queue(async () => {
      const body = await making;
      for (const [at, installation] of audience.entries()) {
        const { action, ...rest } = sender[at] ?? {};
        this.enter(emission, installation, structuredClone({ action, ...body, ...rest }));
      }
    });
  }

  private queue(work: () => Promise<void>): void {
    this.waiting += 1;
    this.line = this.line.then(work).finally(() => {
      this.waiting -= 1;
    });
    this.track(this.line);
  }

  private enter(emission: Emission, installation: Installation, payload: Record<string, unknown>): void {
    this.onEmit(emission.event, emission.action, payload);
    const delivery: Delivery = {
      id: randomUUID(),
      number: this.deliveries.length + 1,
      event: emission.event,
      action: emission.action ?? null,
      app: installation.app,
      installation,
      repository: emission.repository,
      payload,
      at: this.world.now(),
      status: "pending",
      answerStatus: undefined,
      attempts: 0,
    };
    this.deliveries.push(delivery);
    this.dispatch(delivery);
  }

  /** Sends a kept delivery again with the same id, as a maintainer can by hand. Resolves when it was answered. */
  async redeliver(id: string): Promise<Delivery> {
    const delivery = this.deliveries.find((candidate) => candidate.id === id);
    if (!delivery) throw new Error(`There is no delivery ${id}`);
    await this.send(delivery);
    return delivery;
  }

  /** Resolves when every delivery that was under way has been answered or has failed. */
  async settled(): Promise<void> {
    this.release();
    while (this.inFlight.size > 0) await Promise.all(this.inFlight);
  }

  private audience(emission: Emission): Installation[] {
    const candidates = emission.installation ? [emission.installation] : [...this.world.installations.values()];
    return candidates.filter((installation) => {
      if (UNASKED_EVENTS.includes(emission.event)) return emission.installation === installation;
      if (emission.onlyTo && emission.onlyTo !== installation.app) return false;
      if (installation.suspendedAt || !installation.app.events.includes(emission.event)) return false;
      return emission.repository !== undefined && this.world.covers(installation, emission.repository);
    });
  }

  private payload(emission: Emission, installation: Installation): Record<string, unknown> {
    const { repository } = emission;
    return {
      ...(emission.action ? { action: emission.action } : {}),
      ...emission.body,
      ...(repository ? { repository: webhookRepository(this.world, repository) } : {}),
      ...(repository?.owner.type === "Organization"
        ? { organization: organization(this.world, repository.owner) }
        : {}),
      sender: simpleUser(this.world, emission.sender),
      ...(emission.body.installation ? {} : { installation: { id: installation.id, node_id: installation.nodeId } }),
    };
  }

  private dispatch(delivery: Delivery): void {
    const { drop = 0, duplicate = 0, reorder = 0 } = this.disturbance;
    if (this.random() < drop) {
      delivery.status = "dropped";
      return;
    }
    if (!this.held && this.random() < reorder) {
      this.held = delivery;
      return;
    }
    this.track(this.send(delivery));
    if (this.random() < duplicate) this.track(this.send(delivery));
    this.release();
  }

  private release(): void {
    const { held } = this;
    this.held = undefined;
    if (held) this.track(this.send(held));
  }

  private track(sending: Promise<unknown>): void {
    this.inFlight.add(sending);
    void sending.finally(() => this.inFlight.delete(sending));
  }

  private async send(delivery: Delivery): Promise<void> {
    const { app } = delivery;
    delivery.attempts += 1;
    if (!app.webhookUrl) {
      delivery.status = "no-receiver";
      return;
    }
    const body = JSON.stringify(delivery.payload);
    try {
      const answer = await fetch(app.webhookUrl, {
        method: "POST",
        body,
        headers: {
          accept: "*/*",
          "content-type": "application/json",
          "user-agent": "GitHub-Hookshot/local",
          "x-github-delivery": delivery.id,
          "x-github-event": delivery.event,
          "x-github-hook-id": String(app.id),
          "x-github-hook-installation-target-id": String(app.id),
          "x-github-hook-installation-target-type": "integration",
          "x-hub-signature": `sha1=${createHmac("sha1", app.webhookSecret).update(body).digest("hex")}`,
          "x-hub-signature-256": `sha256=${createHmac("sha256", app.webhookSecret).update(body).digest("hex")}`,
        },
        signal: AbortSignal.timeout(RECEIVER_TIMEOUT_MILLISECONDS),
      });
      await answer.arrayBuffer();
      delivery.answerStatus = answer.status;
      delivery.status = answer.ok ? "delivered" : "refused";
    } catch {
      // The receiver is down, slow or hung up: GitHub notes the failure and does not try again.
      delivery.status = "failed";
      delivery.answerStatus = undefined;
    }
  }
}

function organization(world: World, owner: User): Record<string, unknown> {
  const url = `${world.url}/orgs/${owner.login}`;
  return {
    login: owner.login,
    id: owner.id,
    node_id: owner.nodeId,
    url,
    repos_url: `${url}/repos`,
    events_url: `${url}/events`,
    hooks_url: `${url}/hooks`,
    issues_url: `${url}/issues`,
    members_url: `${url}/members{/member}`,
    public_members_url: `${url}/public_members{/member}`,
    avatar_url: `${world.url}/avatars/${owner.id}`,
    description: "",
  };
}
