ALTER TABLE "runs" ADD COLUMN "engine" text DEFAULT 'local' NOT NULL;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "platform_execution" text;--> statement-breakpoint
ALTER TABLE "runs" ADD COLUMN "waker" text;