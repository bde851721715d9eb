import 'reflect-metadata';
import {
  type DynamicModule,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { AddressInfo } from 'node:net';
import type { Request, Response } from 'express';
import { ServiceEngine } from './engine';
import { DEAD_LETTER_DESK, type DeadLetterDesk, DeadLettersController } from './http/dead-letters.controller';
import { HealthController, READINESS_CHECKS, type ReadinessCheck } from './http/health.controller';
import { MetricsController, SERVICE_GAUGES } from './http/metrics.controller';
import { ProblemFilter } from './http/problem';
import { TokenGuard } from './http/request';
import { nestLogger, requestLog } from './logging';
import { type Platform, openServiceContext } from './service-context';
import { SERVICE_CONTEXT, type ServiceContext, type ServiceDefinition } from './service-definition';

const BODY_BYTES_MAX = 1_000_000;

export interface AppOptions {
  readonly platform: Platform;
  readonly services: readonly ServiceDefinition[];
  readonly listen: { readonly host: string; readonly port: number };
  readonly token: string;
  readonly title: string;
}

export interface RunningApp {
  readonly url: string;
  readonly openApi: object;
  /** Stops taking work, waits for what is under way, closes everything. */
  close(): Promise<void>;
}

/** Starts one HTTP server with one or several services in it; the code of a service cannot tell which. */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  const contexts: (ServiceContext & { close(): Promise<void> })[] = [];
  try {
    for (const definition of options.services)
      contexts.push(await openServiceContext(definition, options.platform));
    return await listen(options, contexts);
  } catch (error) {
    await Promise.allSettled(contexts.map((context) => context.close()));
    throw error;
  }
}

async function listen(
  options: AppOptions,
  contexts: (ServiceContext & { close(): Promise<void> })[],
): Promise<RunningApp> {
  const { platform, services } = options;
  const engines = services.map((definition, index) => {
    const context = contexts[index];
    if (!context) throw new Error(`${definition.name} has no context.`);
    return { definition, context, engine: new ServiceEngine(definition, context) };
  });
  const checks: ReadinessCheck[] = engines.flatMap(({ engine }) => engine.readinessChecks());
  const root: DynamicModule = {
    module: RootModule,
    imports: engines.map(({ definition, context, engine }) => serviceModule(definition, context, engine)),
    controllers: [HealthController, DeadLettersController, MetricsController],
    providers: [
      { provide: READINESS_CHECKS, useValue: checks },
      { provide: SERVICE_GAUGES, useValue: engines.map(({ engine }) => engine.gauges()) },
      {
        provide: DEAD_LETTER_DESK,
        useValue: deadLetterDesk(
          platform,
          engines.map(({ engine }) => engine),
        ),
      },
    ],
  };
  const app = await NestFactory.create<NestExpressApplication>(root, {
    logger: nestLogger(platform.logger),
    bodyParser: false,
    abortOnError: false,
  });
  try {
    app.useBodyParser('json', { limit: BODY_BYTES_MAX });
    app.useGlobalFilters(new ProblemFilter(platform.logger));
    app.useGlobalGuards(new TokenGuard(options.token));
    app.use(requestLog(platform.logger));
    app.set('x-powered-by', false);
    const openApi = SwaggerModule.createDocument(
      app,
      new DocumentBuilder()
        .setTitle(options.title)
        .setVersion('1')
        .addBearerAuth()
        .addSecurityRequirements('bearer')
        .setOpenAPIVersion('3.1.0')
        .build(),
    );
    app.use('/openapi.json', (_request: Request, response: Response) => {
      response.type('application/json').send(JSON.stringify(openApi));
    });
    await app.listen(options.listen.port, options.listen.host);
    const { port } = app.getHttpServer().address() as AddressInfo;
    return {
      url: `http://${options.listen.host}:${port}`,
      openApi,
      close: async () => {
        await app.close();
        await Promise.allSettled(contexts.map((context) => context.close()));
      },
    };
  } catch (error) {
    await app.close();
    throw error;
  }
}

@Module({})
class RootModule {}

function deadLetterDesk({ bus }: Platform, engines: readonly ServiceEngine[]): DeadLetterDesk {
  return {
    bus,
    topics: [...new Set(engines.flatMap((engine) => engine.consumedTopics()))],
    isOurs: (group) => engines.some((engine) => engine.ownsGroup(group)),
  };
}

function serviceModule(
  definition: ServiceDefinition,
  context: ServiceContext,
  engine: ServiceEngine,
): DynamicModule {
  class Lifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
    async onApplicationBootstrap(): Promise<void> {
      await engine.start();
    }
    async onApplicationShutdown(): Promise<void> {
      await engine.stop();
    }
  }
  class ServiceModule {}
  Object.defineProperty(ServiceModule, 'name', { value: `${definition.name}-module` });
  Module({})(ServiceModule);
  return {
    module: ServiceModule,
    controllers: [...engine.parts.controllers],
    providers: [
      { provide: SERVICE_CONTEXT, useValue: context },
      { provide: `${definition.name}-lifecycle`, useValue: new Lifecycle() },
      ...engine.parts.providers,
    ],
  };
}
