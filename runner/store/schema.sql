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
    owner VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    result VARCHAR,
    reason VARCHAR NOT NULL,
    cancel_requested BOOLEAN NOT NULL,
    version INTEGER NOT NULL,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    finished_at FLOAT,
    CONSTRAINT run_by_number UNIQUE (project, file, run_number)
);

CREATE INDEX run_open ON run (owner) WHERE state != 'finished';

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
    queue VARCHAR NOT NULL,
    rank INTEGER NOT NULL,
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
    lease_until FLOAT,
    PRIMARY KEY (run, "key"),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX job_ready ON job (queue, rank, run, position) WHERE state = 'queued';

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
    job VARCHAR NOT NULL,
    CONSTRAINT place_of UNIQUE (run, job),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);

CREATE INDEX place_in_line ON place (project, name, id);

INSERT INTO alembic_version (version_num) VALUES ('0003');

PRAGMA user_version = 3;
