CREATE TABLE "audit_log" (
	"sequence" bigserial PRIMARY KEY NOT NULL,
	"run_key" text NOT NULL,
	"repository_id" bigint NOT NULL,
	"effect" text NOT NULL,
	"target" text NOT NULL,
	"result" text NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "blobs" (
	"reference" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"run_key" text NOT NULL,
	"kind" text NOT NULL,
	"content" "bytea" NOT NULL,
	"used_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"run_key" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"execution_id" text NOT NULL,
	"expires_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "notes" (
	"run_key" text NOT NULL,
	"key" text NOT NULL,
	"value" text NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "notes_run_key_key_pk" PRIMARY KEY("run_key","key")
);
--> statement-breakpoint
CREATE TABLE "pull_requests" (
	"repository_id" bigint NOT NULL,
	"number" bigint NOT NULL,
	"work_key" text NOT NULL,
	"issue_number" bigint NOT NULL,
	"branch" text NOT NULL,
	"head_sha" text NOT NULL,
	"base_ref" text NOT NULL,
	"node_id" text NOT NULL,
	"url" text NOT NULL,
	"ci_waits" boolean NOT NULL,
	"state" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "pull_requests_repository_id_number_pk" PRIMARY KEY("repository_id","number")
);
--> statement-breakpoint
CREATE TABLE "rate_limits" (
	"key" text NOT NULL,
	"window_start" timestamp with time zone NOT NULL,
	"window_end" timestamp with time zone NOT NULL,
	"count" integer NOT NULL,
	CONSTRAINT "rate_limits_key_window_start_pk" PRIMARY KEY("key","window_start")
);
--> statement-breakpoint
CREATE TABLE "repositories" (
	"repository_id" bigint PRIMARY KEY NOT NULL,
	"installation_id" bigint NOT NULL,
	"owner" text NOT NULL,
	"repo" text NOT NULL,
	"seen_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "runs" (
	"run_key" text PRIMARY KEY NOT NULL,
	"sequence" bigserial NOT NULL,
	"work_key" text NOT NULL,
	"installation_id" bigint NOT NULL,
	"repository_id" bigint NOT NULL,
	"account" text NOT NULL,
	"subject_kind" text NOT NULL,
	"subject_number" bigint NOT NULL,
	"pipeline" text NOT NULL,
	"priority" integer NOT NULL,
	"state" text NOT NULL,
	"intent" json NOT NULL,
	"status_comment_id" bigint,
	"outcome" json,
	"cancel_reason" text,
	"stage" text DEFAULT 'front' NOT NULL,
	"wakes" integer DEFAULT 0 NOT NULL,
	"wake_at" timestamp with time zone,
	"execution_id" text,
	"execution_job" text,
	"execution_expires_at" timestamp with time zone,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"started_at" timestamp with time zone,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "signals" (
	"sequence" bigserial PRIMARY KEY NOT NULL,
	"run_key" text NOT NULL,
	"name" text NOT NULL,
	"payload" json NOT NULL,
	"consumed_by" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "steps" (
	"run_key" text NOT NULL,
	"path" text NOT NULL,
	"sequence" bigserial NOT NULL,
	"name" text NOT NULL,
	"attempt" integer NOT NULL,
	"status" text NOT NULL,
	"input_hash" text NOT NULL,
	"output" json,
	"error" json,
	"retry_at" timestamp with time zone,
	"transient_since" timestamp with time zone,
	"started_at" timestamp with time zone DEFAULT now() NOT NULL,
	"ended_at" timestamp with time zone,
	CONSTRAINT "steps_run_key_path_pk" PRIMARY KEY("run_key","path")
);
--> statement-breakpoint
CREATE TABLE "turns" (
	"work_key" text PRIMARY KEY NOT NULL,
	"run_key" text NOT NULL,
	"taken_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "turns_run_key_unique" UNIQUE("run_key")
);
--> statement-breakpoint
CREATE TABLE "usage" (
	"sequence" bigserial PRIMARY KEY NOT NULL,
	"run_key" text NOT NULL,
	"repository_id" bigint NOT NULL,
	"account" text NOT NULL,
	"provider" text NOT NULL,
	"model" text NOT NULL,
	"prompt" text NOT NULL,
	"prompt_version" text NOT NULL,
	"input_tokens" bigint NOT NULL,
	"output_tokens" bigint NOT NULL,
	"cache_read_tokens" bigint NOT NULL,
	"cache_write_tokens" bigint NOT NULL,
	"cost_usd" double precision NOT NULL,
	"duration_ms" double precision NOT NULL,
	"ending" text NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_run_key_runs_run_key_fk" FOREIGN KEY ("run_key") REFERENCES "public"."runs"("run_key") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "signals" ADD CONSTRAINT "signals_run_key_runs_run_key_fk" FOREIGN KEY ("run_key") REFERENCES "public"."runs"("run_key") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "steps" ADD CONSTRAINT "steps_run_key_runs_run_key_fk" FOREIGN KEY ("run_key") REFERENCES "public"."runs"("run_key") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "turns" ADD CONSTRAINT "turns_run_key_runs_run_key_fk" FOREIGN KEY ("run_key") REFERENCES "public"."runs"("run_key") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_log_run" ON "audit_log" USING btree ("run_key");--> statement-breakpoint
CREATE INDEX "audit_log_repository" ON "audit_log" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "blobs_repository" ON "blobs" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "blobs_age" ON "blobs" USING btree ("kind","used_at");--> statement-breakpoint
CREATE INDEX "leases_repository" ON "leases" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "pull_requests_work" ON "pull_requests" USING btree ("work_key");--> statement-breakpoint
CREATE INDEX "rate_limits_age" ON "rate_limits" USING btree ("window_end");--> statement-breakpoint
CREATE INDEX "runs_work" ON "runs" USING btree ("work_key","sequence");--> statement-breakpoint
CREATE INDEX "runs_subject" ON "runs" USING btree ("repository_id","subject_kind","subject_number","sequence");--> statement-breakpoint
CREATE INDEX "runs_installation" ON "runs" USING btree ("installation_id");--> statement-breakpoint
CREATE INDEX "runs_day" ON "runs" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "runs_waiting" ON "runs" USING btree ("repository_id","priority","sequence") WHERE state = 'waiting-turn';--> statement-breakpoint
CREATE INDEX "runs_active" ON "runs" USING btree ("sequence") WHERE state <> 'ended';--> statement-breakpoint
CREATE INDEX "signals_run" ON "signals" USING btree ("run_key","sequence");--> statement-breakpoint
CREATE INDEX "usage_run" ON "usage" USING btree ("run_key");--> statement-breakpoint
CREATE INDEX "usage_day" ON "usage" USING btree ("created_at");