CREATE TABLE "analyses" (
	"key" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"content" json NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "check_attempts" (
	"run_key" text NOT NULL,
	"kind" text NOT NULL,
	"repository_id" bigint NOT NULL,
	"check_name" text NOT NULL,
	"sha" text NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "check_attempts_run_key_kind_check_name_pk" PRIMARY KEY("run_key","kind","check_name")
);
--> statement-breakpoint
CREATE TABLE "check_results" (
	"repository_id" bigint NOT NULL,
	"check_name" text NOT NULL,
	"sha" text NOT NULL,
	"result_id" text NOT NULL,
	"passed" boolean NOT NULL,
	"at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "check_results_repository_id_check_name_sha_result_id_pk" PRIMARY KEY("repository_id","check_name","sha","result_id")
);
--> statement-breakpoint
CREATE TABLE "findings" (
	"repository_id" bigint NOT NULL,
	"pull_number" bigint NOT NULL,
	"fingerprint" text NOT NULL,
	"run_key" text NOT NULL,
	"reviewer" text NOT NULL,
	"category" text NOT NULL,
	"severity" text NOT NULL,
	"path" text NOT NULL,
	"line" integer NOT NULL,
	"title" text NOT NULL,
	"state" text NOT NULL,
	"suppressed" text,
	"comment_id" bigint,
	"accepted" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "findings_repository_id_pull_number_fingerprint_pk" PRIMARY KEY("repository_id","pull_number","fingerprint")
);
--> statement-breakpoint
CREATE TABLE "notifications" (
	"key" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"run_key" text NOT NULL,
	"channel" text NOT NULL,
	"content" json NOT NULL,
	"state" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"next_at" timestamp with time zone DEFAULT now() NOT NULL,
	"last_error" text,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "offers" (
	"run_key" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"pull_number" bigint NOT NULL,
	"head_sha" text NOT NULL,
	"content" json NOT NULL,
	"state" text NOT NULL,
	"decided_by" text,
	"updated_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reviews" (
	"run_key" text PRIMARY KEY NOT NULL,
	"repository_id" bigint NOT NULL,
	"pull_number" bigint NOT NULL,
	"base_sha" text NOT NULL,
	"head_sha" text NOT NULL,
	"content" json NOT NULL,
	"created_at" timestamp with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE INDEX "analyses_repository" ON "analyses" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "check_attempts_commit" ON "check_attempts" USING btree ("repository_id","check_name","sha");--> statement-breakpoint
CREATE INDEX "check_results_age" ON "check_results" USING btree ("at");--> statement-breakpoint
CREATE INDEX "notifications_due" ON "notifications" USING btree ("next_at") WHERE state = 'queued';--> statement-breakpoint
CREATE INDEX "notifications_repository" ON "notifications" USING btree ("repository_id");--> statement-breakpoint
CREATE INDEX "offers_pull" ON "offers" USING btree ("repository_id","pull_number");--> statement-breakpoint
CREATE INDEX "reviews_pull" ON "reviews" USING btree ("repository_id","pull_number");