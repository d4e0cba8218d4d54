BEGIN TRANSACTION;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
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
INSERT INTO "annotation" VALUES(1,1,'build',1,2,'warning','look here','','ci.yaml',3,0,0,0);
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
INSERT INTO "attempt" VALUES(1,'build',1,'laptop:20934','',1.70912968504576039314e+09,1.70912968516596889493e+09,'success','');
INSERT INTO "attempt" VALUES(1,'test',1,'laptop:20934','',1.70912968517742872237e+09,1.70912968523081827167e+09,'success','');
INSERT INTO "attempt" VALUES(2,'first',1,'laptop:22517','',1.7091297063587653637e+09,1.70912970643292641634e+09,'success','');
INSERT INTO "attempt" VALUES(2,'slow',1,'laptop:22517','',1.70912970644040942188e+09,NULL,NULL,'');
INSERT INTO "attempt" VALUES(2,'call / deep',1,'laptop:22517','',1.70912970644040942188e+09,1.70912970654111719126e+09,'success','');
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
INSERT INTO "event" VALUES(1,1,'build',1,1.70912968503589415554e+09,'JobQueued','{"event": "JobQueued", "run": 1, "time": 1709129685.0358942, "job": "build", "attempt": 1, "name": "build", "delay": 0.0}');
INSERT INTO "event" VALUES(2,1,'',0,1.70912968504576039314e+09,'RunStarted','{"event": "RunStarted", "run": 1, "time": 1709129685.0457604, "name": "CI", "file": "ci.yaml", "jobs": 2}');
INSERT INTO "event" VALUES(3,1,'build',1,1.70912968504996728895e+09,'JobStarted','{"event": "JobStarted", "run": 1, "time": 1709129685.0499673, "job": "build", "attempt": 1, "name": "build", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(4,1,'build',1,1.70912968505061793329e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.050618, "job": "build", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(5,1,'build',1,1.70912968505920910837e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.059209, "job": "build", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "ci.yaml", "line": 5, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(6,1,'build',1,1.70912968505982398991e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.059824, "job": "build", "attempt": 1, "step": 1, "id": "make", "name": "Run echo \"made=thing\" >> \"$GITHUB_OUTPUT\"", "position": {"file": "ci.yaml", "line": 9, "column": 9, "length": 8}}');
INSERT INTO "event" VALUES(7,1,'build',1,1.70912968513540267949e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.1354027, "job": "build", "attempt": 1, "step": 1, "id": "make", "name": "Run echo \"made=thing\" >> \"$GITHUB_OUTPUT\"", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 9, "column": 9, "length": 8}}');
INSERT INTO "event" VALUES(8,1,'build',1,1.70912968513762760164e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1376276, "job": "build", "attempt": 1, "step": 2, "id": "__run", "name": "Warn", "position": {"file": "ci.yaml", "line": 11, "column": 9, "length": 10}}');
INSERT INTO "event" VALUES(9,1,'build',1,1.70912968515498590472e+09,'Annotation','{"event": "Annotation", "run": 1, "time": 1709129685.154986, "job": "build", "attempt": 1, "step": 2, "level": "warning", "message": "look here", "title": "", "file": "ci.yaml", "line": 3, "end_line": 0, "column": 0, "end_column": 0}');
INSERT INTO "event" VALUES(10,1,'build',1,1.70912968515613293649e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.156133, "job": "build", "attempt": 1, "step": 2, "id": "__run", "name": "Warn", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 11, "column": 9, "length": 10}}');
INSERT INTO "event" VALUES(11,1,'build',1,1.70912968516596889493e+09,'JobFinished','{"event": "JobFinished", "run": 1, "time": 1709129685.165969, "job": "build", "attempt": 1, "name": "build", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {"made": "thing"}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(12,1,'test',1,1.70912968516596889493e+09,'JobQueued','{"event": "JobQueued", "run": 1, "time": 1709129685.165969, "job": "test", "attempt": 1, "name": "test", "delay": 0.0}');
INSERT INTO "event" VALUES(13,1,'test',1,1.70912968517866897585e+09,'JobStarted','{"event": "JobStarted", "run": 1, "time": 1709129685.178669, "job": "test", "attempt": 1, "name": "test", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(14,1,'test',1,1.70912968517889261249e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1788926, "job": "test", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(15,1,'test',1,1.70912968518695235252e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.1869524, "job": "test", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "ci.yaml", "line": 14, "column": 5, "length": 12}}');
INSERT INTO "event" VALUES(16,1,'test',1,1.70912968518764162061e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1876416, "job": "test", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo \"tested thing\"", "position": {"file": "ci.yaml", "line": 17, "column": 9, "length": 50}}');
INSERT INTO "event" VALUES(17,1,'test',1,1.70912968520778107647e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.207781, "job": "test", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo \"tested thing\"", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 17, "column": 9, "length": 50}}');
INSERT INTO "event" VALUES(18,1,'test',1,1.70912968520839023589e+09,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.2083902, "job": "test", "attempt": 1, "step": 2, "id": "__run_2", "name": "Run exit 3", "position": {"file": "ci.yaml", "line": 18, "column": 9, "length": 24}}');
INSERT INTO "event" VALUES(19,1,'test',1,1.70912968521577072144e+09,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.2157707, "job": "test", "attempt": 1, "step": 2, "id": "__run_2", "name": "Run exit 3", "outcome": "failure", "conclusion": "success", "exit_code": 3, "reason": "", "position": {"file": "ci.yaml", "line": 18, "column": 9, "length": 24}}');
INSERT INTO "event" VALUES(20,1,'test',1,1.70912968523081827167e+09,'JobFinished','{"event": "JobFinished", "run": 1, "time": 1709129685.2308183, "job": "test", "attempt": 1, "name": "test", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(21,1,'',0,1.70912968523081827167e+09,'RunFinished','{"event": "RunFinished", "run": 1, "time": 1709129685.2308183, "result": "success", "reason": ""}');
INSERT INTO "event" VALUES(22,2,'first',1,1.7091297063379120827e+09,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.337912, "job": "first", "attempt": 1, "name": "first", "delay": 0.0}');
INSERT INTO "event" VALUES(23,2,'',0,1.7091297063587653637e+09,'RunStarted','{"event": "RunStarted", "run": 2, "time": 1709129706.3587654, "name": "Slow", "file": "slow.yaml", "jobs": 4}');
INSERT INTO "event" VALUES(24,2,'first',1,1.70912970636259460444e+09,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.3625946, "job": "first", "attempt": 1, "name": "first", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(25,2,'first',1,1.70912970636304855339e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.3630486, "job": "first", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(26,2,'first',1,1.7091297063900928497e+09,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.3900928, "job": "first", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "slow.yaml", "line": 6, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(27,2,'first',1,1.70912970639074349404e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.3907435, "job": "first", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo first", "position": {"file": "slow.yaml", "line": 8, "column": 9, "length": 15}}');
INSERT INTO "event" VALUES(28,2,'first',1,1.70912970641028380395e+09,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.4102838, "job": "first", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo first", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "slow.yaml", "line": 8, "column": 9, "length": 15}}');
INSERT INTO "event" VALUES(29,2,'first',1,1.70912970643292641634e+09,'JobFinished','{"event": "JobFinished", "run": 2, "time": 1709129706.4329264, "job": "first", "attempt": 1, "name": "first", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(30,2,'slow',1,1.70912970643292641634e+09,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.4329264, "job": "slow", "attempt": 1, "name": "slow", "delay": 0.0}');
INSERT INTO "event" VALUES(31,2,'call / deep',1,1.70912970643292641634e+09,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.4329264, "job": "call / deep", "attempt": 1, "name": "call / deep", "delay": 0.0}');
INSERT INTO "event" VALUES(32,2,'call / deep',1,1.70912970645938563345e+09,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.4593856, "job": "call / deep", "attempt": 1, "name": "call / deep", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(33,2,'call / deep',1,1.70912970646636509894e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.466365, "job": "call / deep", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(34,2,'slow',1,1.70912970646677350996e+09,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.4667735, "job": "slow", "attempt": 1, "name": "slow", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(35,2,'slow',1,1.70912970646891427045e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.4689143, "job": "slow", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(36,2,'call / deep',1,1.70912970648586297036e+09,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.485863, "job": "call / deep", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "called.yaml", "line": 5, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(37,2,'call / deep',1,1.70912970648632645603e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.4863265, "job": "call / deep", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo deep", "position": {"file": "called.yaml", "line": 7, "column": 9, "length": 14}}');
INSERT INTO "event" VALUES(38,2,'slow',1,1.70912970650292229653e+09,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.5029223, "job": "slow", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "slow.yaml", "line": 10, "column": 5, "length": 12}}');
INSERT INTO "event" VALUES(39,2,'slow',1,1.70912970650340127949e+09,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.5034013, "job": "slow", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo begun; exec sleep 5", "position": {"file": "slow.yaml", "line": 13, "column": 9, "length": 29}}');
INSERT INTO "event" VALUES(40,2,'call / deep',1,1.70912970651202058788e+09,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.5120206, "job": "call / deep", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo deep", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "called.yaml", "line": 7, "column": 9, "length": 14}}');
INSERT INTO "event" VALUES(41,2,'call / deep',1,1.70912970654111719126e+09,'JobFinished','{"event": "JobFinished", "run": 2, "time": 1709129706.5411172, "job": "call / deep", "attempt": 1, "name": "call / deep", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
CREATE TABLE identity (
	name VARCHAR NOT NULL, 
	PRIMARY KEY (name)
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
INSERT INTO "job" VALUES(1,'build','build','build',0,'','finished','success','',0,'{"made":"thing"}',1,0,1.70912968503589415554e+09,1.70912968503589415554e+09,1.70912968516596889493e+09,1,'laptop:20934','laptop:20934/1',1.70912971504882502558e+09,0.0,'','',0,0);
INSERT INTO "job" VALUES(1,'test','test','test',1,'','finished','success','',0,'{}',1,0,1.70912968516596889493e+09,1.70912968516596889493e+09,1.70912968523081827167e+09,2,'laptop:20934','laptop:20934/1',1.70912971517742872241e+09,0.0,'','',0,0);
INSERT INTO "job" VALUES(2,'first','first','first',0,'','finished','success','',0,'{}',1,0,1.7091297063379120827e+09,1.7091297063379120827e+09,1.70912970643292641634e+09,1,'laptop:22517','laptop:22517/1',1.70912973636690568917e+09,0.0,'','',0,0);
INSERT INTO "job" VALUES(2,'slow','slow','slow',1,'','running',NULL,'',0,'{}',1,0,1.70912970643292641634e+09,1.70912970643292641634e+09,NULL,0,'laptop:22517','laptop:22517/1',1.70912973705522298808e+09,0.0,'','',0,0);
INSERT INTO "job" VALUES(2,'last','last','last',2,'','blocked',NULL,'',0,'{}',1,0,NULL,NULL,NULL,0,'','',NULL,0.0,'','',0,0);
INSERT INTO "job" VALUES(2,'call','call','call',3,'','finished','success','',0,'{}',1,0,NULL,NULL,1.70912970654111719126e+09,3,'','',NULL,0.0,'','',0,0);
INSERT INTO "job" VALUES(2,'call / deep','deep','call / deep',3,'','finished','success','',0,'{}',1,0,1.70912970643292641634e+09,1.70912970643292641634e+09,1.70912970654111719126e+09,2,'laptop:22517','laptop:22517/1',1.70912973644040942192e+09,0.0,'','',0,0);
CREATE TABLE pipeline (
    project VARCHAR NOT NULL,
    file VARCHAR NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (project, file)
);
INSERT INTO "pipeline" VALUES('/home/ada/shop','ci.yaml',1);
INSERT INTO "pipeline" VALUES('/home/ada/shop','slow.yaml',1);
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
INSERT INTO "place" VALUES(1,'/home/ada/shop','DEPLOY','deploy',2,'',1);
CREATE TABLE reusable (
	project VARCHAR NOT NULL, 
	fingerprint VARCHAR NOT NULL, 
	run INTEGER NOT NULL, 
	job VARCHAR NOT NULL, 
	expires_at FLOAT, 
	PRIMARY KEY (project, fingerprint), 
	FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
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
INSERT INTO "run" VALUES(1,'/home/ada/shop','ci.yaml','CI',1,'push','20934:2212047:5f0c7a52-6a0e-4e0b-9d4b-2f6f0e1f7a11/4026531836','finished','success','',0,4,1.70912968503589415554e+09,1.70912968504576039314e+09,1.70912968523081827167e+09,'','default',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "run" VALUES(2,'/home/ada/shop','slow.yaml','Slow',1,'push','22517:2214232:5f0c7a52-6a0e-4e0b-9d4b-2f6f0e1f7a11/4026531836','running',NULL,'',0,4,1.7091297063379120827e+09,1.7091297063587653637e+09,NULL,'','default',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE schedule (
	project VARCHAR NOT NULL, 
	file VARCHAR NOT NULL, 
	cron VARCHAR NOT NULL, 
	timezone VARCHAR NOT NULL, 
	handled_until FLOAT NOT NULL, 
	PRIMARY KEY (project, file, cron, timezone)
);
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
INSERT INTO "scope" VALUES('queue','deployments',5,NULL,0,0,0,'',0);
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
INSERT INTO "step" VALUES(1,'build',1,0,'','Set up job','',1.70912968505061793329e+09,1.70912968505920910837e+09,'success','success',NULL,'');
INSERT INTO "step" VALUES(1,'build',1,1,'make','Run echo "made=thing" >> "$GITHUB_OUTPUT"','ci.yaml:9:9',1.70912968505982398991e+09,1.70912968513540267949e+09,'success','success',0,'');
INSERT INTO "step" VALUES(1,'build',1,2,'__run','Warn','ci.yaml:11:9',1.70912968513762760164e+09,1.70912968515613293649e+09,'success','success',0,'');
INSERT INTO "step" VALUES(1,'test',1,0,'','Set up job','',1.70912968517889261249e+09,1.70912968518695235252e+09,'success','success',NULL,'');
INSERT INTO "step" VALUES(1,'test',1,1,'__run','Run echo "tested thing"','ci.yaml:17:9',1.70912968518764162061e+09,1.70912968520778107647e+09,'success','success',0,'');
INSERT INTO "step" VALUES(1,'test',1,2,'__run_2','Run exit 3','ci.yaml:18:9',1.70912968520839023589e+09,1.70912968521577072144e+09,'failure','success',3,'');
INSERT INTO "step" VALUES(2,'first',1,0,'','Set up job','',1.70912970636304855339e+09,1.7091297063900928497e+09,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'first',1,1,'__run','Run echo first','slow.yaml:8:9',1.70912970639074349404e+09,1.70912970641028380395e+09,'success','success',0,'');
INSERT INTO "step" VALUES(2,'call / deep',1,0,'','Set up job','',1.70912970646636509894e+09,1.70912970648586297036e+09,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'slow',1,0,'','Set up job','',1.70912970646891427045e+09,1.70912970650292229653e+09,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'call / deep',1,1,'__run','Run echo deep','called.yaml:7:9',1.70912970648632645603e+09,1.70912970651202058788e+09,'success','success',0,'');
INSERT INTO "step" VALUES(2,'slow',1,1,'__run','Run echo begun; exec sleep 5','slow.yaml:13:9',1.70912970650340127949e+09,NULL,NULL,NULL,NULL,'');
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
INSERT INTO "submission" VALUES(1,'name: CI
on: push
jobs:
  build:
    runs-on: self-hosted
    outputs:
      made: ${{ steps.make.outputs.made }}
    steps:
      - id: make
        run: echo "made=thing" >> "$GITHUB_OUTPUT"
      - name: Warn
        run: echo "::warning file=ci.yaml,line=3::look here"
  test:
    needs: build
    runs-on: self-hosted
    steps:
      - run: echo "tested ${{ needs.build.outputs.made }}"
      - if: ${{ !inputs.never }}
        continue-on-error: true
        run: exit 3
','{"event":"push","inputs":{}}','{"github":{"server_url":"https://github.com","api_url":"https://api.github.com","graphql_url":"https://api.github.com/graphql","repository":"ada/shop","repository_id":"","repository_owner":"ada","repository_owner_id":"","repositoryUrl":"git://github.com/ada/shop.git","actor":"ada","actor_id":"","triggering_actor":"ada","sha":"","ref":"","ref_name":"","ref_type":"","ref_protected":false,"head_ref":"","base_ref":"","run_id":"1","run_number":"1","run_attempt":"1","retention_days":"90","secret_source":"Actions","workspace":"/github/workspace","event_path":"/github/workflow/event.json","token":"","action":"","action_path":"","action_ref":"","action_repository":"","action_status":"","job":"","env":"","path":"","event":{"repository":{"name":"shop","full_name":"ada/shop","owner":{"login":"ada","name":"ada","type":"User"},"default_branch":"main","html_url":"https://github.com/ada/shop","clone_url":"https://github.com/ada/shop.git","git_url":"git://github.com/ada/shop.git","ssh_url":"git@github.com:ada/shop.git","fork":false},"sender":{"login":"ada","name":"ada","type":"User"},"ref":"","base_ref":null,"before":"0000000000000000000000000000000000000000","after":"","created":true,"deleted":false,"forced":false,"compare":"https://github.com/ada/shop/compare/000000000000...","head_commit":null,"commits":[],"pusher":{"name":"ada","email":""}},"event_name":"push","workflow":"CI","workflow_ref":"ada/shop/ci.yaml@","workflow_sha":""},"inputs":{},"vars":{}}','{"id":"000829e731962578e7e43a6c03e63f3c","tree":"/home/ada/.local/state/pipe/snapshots/shop-be9ac5a9889f/000829e731962578e7e43a6c03e63f3c","git":null,"objects":[]}','{"jobs":[],"from_failed":null,"arguments":["run","ci.yaml","--host"]}',0,'{"jobs":[{"key":"build","job":"build","name":"build","needs":[],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":null},{"key":"test","job":"test","name":"test","needs":["build"],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":null}],"only":{}}','{}');
INSERT INTO "submission" VALUES(2,'name: Slow
on: push
concurrency: deploy
jobs:
  first:
    runs-on: self-hosted
    steps:
      - run: echo first
  slow:
    needs: first
    runs-on: self-hosted
    steps:
      - run: echo begun; exec sleep 5
  last:
    needs: slow
    runs-on: self-hosted
    steps:
      - run: echo never
  call:
    needs: first
    uses: ./called.yaml
','{"event":"push","inputs":{}}','{"github":{"server_url":"https://github.com","api_url":"https://api.github.com","graphql_url":"https://api.github.com/graphql","repository":"ada/shop","repository_id":"","repository_owner":"ada","repository_owner_id":"","repositoryUrl":"git://github.com/ada/shop.git","actor":"ada","actor_id":"","triggering_actor":"ada","sha":"","ref":"","ref_name":"","ref_type":"","ref_protected":false,"head_ref":"","base_ref":"","run_id":"2","run_number":"1","run_attempt":"1","retention_days":"90","secret_source":"Actions","workspace":"/github/workspace","event_path":"/github/workflow/event.json","token":"","action":"","action_path":"","action_ref":"","action_repository":"","action_status":"","job":"","env":"","path":"","event":{"repository":{"name":"shop","full_name":"ada/shop","owner":{"login":"ada","name":"ada","type":"User"},"default_branch":"main","html_url":"https://github.com/ada/shop","clone_url":"https://github.com/ada/shop.git","git_url":"git://github.com/ada/shop.git","ssh_url":"git@github.com:ada/shop.git","fork":false},"sender":{"login":"ada","name":"ada","type":"User"},"ref":"","base_ref":null,"before":"0000000000000000000000000000000000000000","after":"","created":true,"deleted":false,"forced":false,"compare":"https://github.com/ada/shop/compare/000000000000...","head_commit":null,"commits":[],"pusher":{"name":"ada","email":""}},"event_name":"push","workflow":"Slow","workflow_ref":"ada/shop/slow.yaml@","workflow_sha":""},"inputs":{},"vars":{}}','{"id":"15b784c83979b6bd029425c7daffe00b","tree":"/home/ada/.local/state/pipe/snapshots/shop-be9ac5a9889f/15b784c83979b6bd029425c7daffe00b","git":null,"objects":[]}','{"jobs":[],"from_failed":null,"arguments":["run","slow.yaml","--host"]}',0,'{"jobs":[{"key":"first","job":"first","name":"first","needs":[],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":null},{"key":"slow","job":"slow","name":"slow","needs":["first"],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":null},{"key":"last","job":"last","name":"last","needs":["slow"],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":false,"inputs":null},{"key":"call","job":"call","name":"call","needs":["first"],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":{}},{"key":"call / deep","job":"deep","name":"call / deep","needs":[],"matrix":null,"index":0,"total":1,"fail_fast":true,"max_parallel":null,"expanded":true,"inputs":null}],"only":{}}','{"called.yaml":"name: Called\non: {workflow_call: {}}\njobs:\n  deep:\n    runs-on: self-hosted\n    steps:\n      - run: echo deep\n"}');
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
CREATE INDEX job_due ON job (due_at) WHERE state = 'scheduled';
CREATE INDEX job_leased ON job (worker) WHERE state = 'running';
CREATE INDEX annotation_of_run ON annotation (run, job);
CREATE INDEX event_of_run ON event (run, seq);
CREATE INDEX place_in_line ON place (project, name, id);
CREATE INDEX run_by_start ON run (started_at);
CREATE INDEX run_open ON run (process) WHERE state != 'finished';
CREATE INDEX run_due ON run (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX run_expiring ON run (expires_at) WHERE state = 'queued';
CREATE INDEX run_limited ON run (deadline) WHERE state = 'running';
CREATE INDEX run_ended ON run (process, finished_at, result, started_at) WHERE finished_at IS NOT NULL;
CREATE UNIQUE INDEX run_by_key ON run (project, submission_key) WHERE submission_key IS NOT NULL;
CREATE INDEX job_ready ON job (pool, owner, rank, run, position) WHERE state = 'queued';
CREATE INDEX job_held ON job (held, owner, rank, run) WHERE held != '';
CREATE INDEX reusable_of_run ON reusable (run);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',2);
INSERT INTO "sqlite_sequence" VALUES('event',41);
INSERT INTO "sqlite_sequence" VALUES('place',1);
PRAGMA user_version = 4;
COMMIT;
