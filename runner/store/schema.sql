-- New databases are made from this. `python -m runner.store.migrations.dump` writes it.

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE pipeline (
    project VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (project, file)
);

CREATE TABLE run (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    run_number INTEGER NOT NULL,
    event VARCHAR NOT NULL,
    process VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    result VARCHAR,
    reason VARCHAR NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    finished_at FLOAT, owner VARCHAR DEFAULT '' NOT NULL, queue VARCHAR DEFAULT 'default' NOT NULL, submission_key VARCHAR, due_at FLOAT, expires_at FLOAT, time_limit FLOAT, deadline FLOAT, rerun_of INTEGER,
    CONSTRAINT run_by_number UNIQUE (project, file, run_number)
);

CREATE TABLE submission (
    run INTEGER NOT NULL,
    text VARCHAR NOT NULL,
    "trigger" VARCHAR NOT NULL,
    contexts VARCHAR NOT NULL,
    snapshot VARCHAR NOT NULL,
    options VARCHAR NOT NULL,
    priority INTEGER NOT NULL,
    "plan" VARCHAR NOT NULL, called VARCHAR DEFAULT '{}' NOT NULL,
    PRIMARY KEY (run),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE job (
    run INTEGER NOT NULL,
    "key" VARCHAR NOT NULL,
    job VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    position INTEGER NOT NULL,
    pool VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    result VARCHAR,
    reason VARCHAR NOT NULL,
    failed_softly BOOLEAN NOT NULL,
    outputs VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    due_at FLOAT,
    queued_at FLOAT,
    finished_at FLOAT,
    finished_order INTEGER NOT NULL,
    worker VARCHAR NOT NULL,
    token VARCHAR NOT NULL,
    lease_until FLOAT, rank FLOAT DEFAULT '0' NOT NULL, owner VARCHAR DEFAULT '' NOT NULL, held VARCHAR DEFAULT '' NOT NULL, losses INTEGER DEFAULT '0' NOT NULL, returns INTEGER DEFAULT '0' NOT NULL,
    PRIMARY KEY (run, "key"),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX job_due ON job (due_at) WHERE state = 'scheduled';

CREATE INDEX job_leased ON job (worker) WHERE state = 'running';

CREATE TABLE attempt (
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    worker VARCHAR NOT NULL,
    image VARCHAR NOT NULL,
    started_at FLOAT NOT NULL,
    finished_at FLOAT,
    result VARCHAR,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (run, job, number),
    FOREIGN KEY(run, job) REFERENCES job (run, "key") ON DELETE CASCADE
);

CREATE TABLE step (
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL,
    id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    position VARCHAR NOT NULL,
    started_at FLOAT,
    finished_at FLOAT,
    outcome VARCHAR,
    conclusion VARCHAR,
    exit_code INTEGER,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (run, job, attempt, number),
    FOREIGN KEY(run, job, attempt) REFERENCES attempt (run, job, number) ON DELETE CASCADE
);

CREATE TABLE annotation (
    id INTEGER NOT NULL,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    step INTEGER NOT NULL,
    level VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    title VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    line INTEGER NOT NULL,
    end_line INTEGER NOT NULL,
    "column" INTEGER NOT NULL,
    end_column INTEGER NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX annotation_of_run ON annotation (run, job);

CREATE TABLE event (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    time FLOAT NOT NULL,
    kind VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX event_of_run ON event (run, seq);

CREATE TABLE place (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    shown VARCHAR NOT NULL,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL, capacity INTEGER DEFAULT '1' NOT NULL,
    CONSTRAINT place_of UNIQUE (run, job),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX place_in_line ON place (project, name, id);

CREATE INDEX run_open ON run (process) WHERE state != 'finished';

CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX run_ended ON run (process, finished_at, result, started_at) WHERE finished_at IS NOT NULL;

CREATE UNIQUE INDEX run_by_key ON run (project, submission_key) WHERE submission_key IS NOT NULL;

CREATE INDEX job_ready ON job (pool, owner, rank, run, position) WHERE state = 'queued';

CREATE INDEX job_held ON job (held, owner, rank, run) WHERE held != '';

CREATE TABLE scope (
    kind VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    maximum INTEGER,
    per_day INTEGER,
    refuses BOOLEAN NOT NULL,
    paused BOOLEAN NOT NULL,
    running INTEGER NOT NULL,
    day VARCHAR NOT NULL,
    started INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
);

CREATE TABLE turn (
    owner VARCHAR NOT NULL,
    served INTEGER NOT NULL,
    PRIMARY KEY (owner)
);

CREATE TABLE worker (
    name VARCHAR NOT NULL,
    process VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    labels VARCHAR NOT NULL,
    slots INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    started_at FLOAT NOT NULL,
    seen_at FLOAT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE dead_letter (
    run INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    job VARCHAR NOT NULL,
    error VARCHAR NOT NULL,
    died_at FLOAT NOT NULL,
    requeued_as INTEGER,
    PRIMARY KEY (run),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE TABLE schedule (
    project VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    cron VARCHAR NOT NULL,
    timezone VARCHAR NOT NULL,
    handled_until FLOAT NOT NULL,
    PRIMARY KEY (project, file, cron, timezone)
);

CREATE TABLE reusable (
    project VARCHAR NOT NULL,
    fingerprint VARCHAR NOT NULL,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    expires_at FLOAT,
    PRIMARY KEY (project, fingerprint),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX reusable_of_run ON reusable (run);

CREATE TABLE identity (
    name VARCHAR NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE release (
    application VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    version VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    commit_sha VARCHAR NOT NULL,
    definition VARCHAR NOT NULL,
    settings VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    created_by VARCHAR NOT NULL,
    PRIMARY KEY (application, environment, number)
);

CREATE TABLE deployment (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    application VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    release INTEGER NOT NULL,
    previous INTEGER,
    kind VARCHAR NOT NULL,
    cause INTEGER,
    "key" VARCHAR NOT NULL,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    step VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    why VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    course VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    deadline FLOAT NOT NULL,
    finished_at FLOAT,
    UNIQUE ("key")
);

CREATE INDEX deployment_of ON deployment (application, environment, id);

CREATE INDEX deployment_of_run ON deployment (run, environment);

CREATE INDEX deployment_open ON deployment (application, environment) WHERE finished_at IS NULL;

CREATE TABLE journal (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    deployment INTEGER NOT NULL,
    move INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    time FLOAT NOT NULL,
    FOREIGN KEY(deployment) REFERENCES deployment (id) ON DELETE CASCADE
);

CREATE INDEX journal_of ON journal (deployment, seq);

CREATE TABLE live (
    application VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    release INTEGER,
    token INTEGER NOT NULL,
    holder INTEGER,
    process VARCHAR NOT NULL,
    expires_at FLOAT NOT NULL,
    PRIMARY KEY (application, environment)
);

CREATE TABLE delivery_turn (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    application VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    deployment INTEGER NOT NULL,
    process VARCHAR NOT NULL,
    seen_at FLOAT NOT NULL
);

CREATE INDEX delivery_turn_of ON delivery_turn (application, environment, id);

CREATE TABLE environment_lock (
    environment VARCHAR NOT NULL,
    owner VARCHAR NOT NULL,
    message VARCHAR NOT NULL,
    locked_at FLOAT NOT NULL,
    PRIMARY KEY (environment)
);

CREATE TABLE snapshot (
    id VARCHAR NOT NULL,
    application VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    release INTEGER,
    deployment INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    description VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    host VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    created_by VARCHAR NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX snapshot_of ON snapshot (application, environment, id);

CREATE TABLE outbox (
    id VARCHAR NOT NULL,
    deployment INTEGER NOT NULL,
    notifier VARCHAR NOT NULL,
    settings VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    data VARCHAR NOT NULL,
    created_at FLOAT NOT NULL,
    due_at FLOAT,
    attempts INTEGER NOT NULL,
    error VARCHAR NOT NULL,
    sent_at FLOAT,
    PRIMARY KEY (id)
);

CREATE INDEX outbox_due ON outbox (due_at) WHERE due_at IS NOT NULL;

CREATE INDEX outbox_of ON outbox (deployment);

CREATE TABLE audit (
    seq INTEGER NOT NULL,
    time FLOAT NOT NULL,
    who VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    previous VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    PRIMARY KEY (seq)
);

CREATE INDEX run_by_start ON run (started_at) WHERE started_at IS NOT NULL;

CREATE INDEX run_expiring ON run (expires_at) WHERE state = 'queued' AND expires_at IS NOT NULL;

CREATE INDEX run_limited ON run (deadline) WHERE state = 'running' AND deadline IS NOT NULL;

CREATE TABLE approval (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    verdict VARCHAR NOT NULL,
    comment VARCHAR NOT NULL,
    time FLOAT NOT NULL,
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX approval_of_run ON approval (run, job);

CREATE TABLE admission (
    run INTEGER NOT NULL,
    job VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    environment VARCHAR NOT NULL,
    time FLOAT NOT NULL,
    PRIMARY KEY (run, job),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX admission_to ON admission (project, environment, time);

INSERT INTO scope (kind, name, maximum, refuses, paused, running, day, started) VALUES ('queue', 'deployments', 5, false, false, 0, '', 0);

INSERT INTO alembic_version (version_num) VALUES ('0005');

PRAGMA user_version = 5;
