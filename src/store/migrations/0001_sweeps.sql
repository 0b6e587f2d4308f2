CREATE TABLE "sweep_lease" (
	"name" text PRIMARY KEY NOT NULL,
	"first_start_at" timestamp with time zone DEFAULT now() NOT NULL,
	"holder" text,
	"expires_at" timestamp with time zone,
	"ended_at" timestamp with time zone
);
--> statement-breakpoint
CREATE TABLE "sweep_lists" (
	"installation_id" bigint NOT NULL,
	"repository_id" bigint NOT NULL,
	"list" text NOT NULL,
	"etag" text NOT NULL,
	"read_until" timestamp with time zone,
	"content" json,
	"read_at" timestamp with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "sweep_lists_installation_id_repository_id_list_pk" PRIMARY KEY("installation_id","repository_id","list")
);
