BEGIN TRANSACTION;
CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0003');
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
INSERT INTO "attempt" VALUES(1,'build',1,'laptop:20934','',1709129685.0457604,1709129685.165969,'success','');
INSERT INTO "attempt" VALUES(1,'test',1,'laptop:20934','',1709129685.1774287,1709129685.2308183,'success','');
INSERT INTO "attempt" VALUES(2,'first',1,'laptop:22517','',1709129706.3587654,1709129706.4329264,'success','');
INSERT INTO "attempt" VALUES(2,'slow',1,'laptop:22517','',1709129706.4404094,NULL,NULL,'');
INSERT INTO "attempt" VALUES(2,'call / deep',1,'laptop:22517','',1709129706.4404094,1709129706.5411172,'success','');
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
INSERT INTO "event" VALUES(1,1,'build',1,1709129685.0358942,'JobQueued','{"event": "JobQueued", "run": 1, "time": 1709129685.0358942, "job": "build", "attempt": 1, "name": "build", "delay": 0.0}');
INSERT INTO "event" VALUES(2,1,'',0,1709129685.0457604,'RunStarted','{"event": "RunStarted", "run": 1, "time": 1709129685.0457604, "name": "CI", "file": "ci.yaml", "jobs": 2}');
INSERT INTO "event" VALUES(3,1,'build',1,1709129685.0499673,'JobStarted','{"event": "JobStarted", "run": 1, "time": 1709129685.0499673, "job": "build", "attempt": 1, "name": "build", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(4,1,'build',1,1709129685.050618,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.050618, "job": "build", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(5,1,'build',1,1709129685.059209,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.059209, "job": "build", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "ci.yaml", "line": 5, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(6,1,'build',1,1709129685.059824,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.059824, "job": "build", "attempt": 1, "step": 1, "id": "make", "name": "Run echo \"made=thing\" >> \"$GITHUB_OUTPUT\"", "position": {"file": "ci.yaml", "line": 9, "column": 9, "length": 8}}');
INSERT INTO "event" VALUES(7,1,'build',1,1709129685.1354027,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.1354027, "job": "build", "attempt": 1, "step": 1, "id": "make", "name": "Run echo \"made=thing\" >> \"$GITHUB_OUTPUT\"", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 9, "column": 9, "length": 8}}');
INSERT INTO "event" VALUES(8,1,'build',1,1709129685.1376276,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1376276, "job": "build", "attempt": 1, "step": 2, "id": "__run", "name": "Warn", "position": {"file": "ci.yaml", "line": 11, "column": 9, "length": 10}}');
INSERT INTO "event" VALUES(9,1,'build',1,1709129685.154986,'Annotation','{"event": "Annotation", "run": 1, "time": 1709129685.154986, "job": "build", "attempt": 1, "step": 2, "level": "warning", "message": "look here", "title": "", "file": "ci.yaml", "line": 3, "end_line": 0, "column": 0, "end_column": 0}');
INSERT INTO "event" VALUES(10,1,'build',1,1709129685.156133,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.156133, "job": "build", "attempt": 1, "step": 2, "id": "__run", "name": "Warn", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 11, "column": 9, "length": 10}}');
INSERT INTO "event" VALUES(11,1,'build',1,1709129685.165969,'JobFinished','{"event": "JobFinished", "run": 1, "time": 1709129685.165969, "job": "build", "attempt": 1, "name": "build", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {"made": "thing"}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(12,1,'test',1,1709129685.165969,'JobQueued','{"event": "JobQueued", "run": 1, "time": 1709129685.165969, "job": "test", "attempt": 1, "name": "test", "delay": 0.0}');
INSERT INTO "event" VALUES(13,1,'test',1,1709129685.178669,'JobStarted','{"event": "JobStarted", "run": 1, "time": 1709129685.178669, "job": "test", "attempt": 1, "name": "test", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(14,1,'test',1,1709129685.1788926,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1788926, "job": "test", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(15,1,'test',1,1709129685.1869524,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.1869524, "job": "test", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "ci.yaml", "line": 14, "column": 5, "length": 12}}');
INSERT INTO "event" VALUES(16,1,'test',1,1709129685.1876416,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.1876416, "job": "test", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo \"tested thing\"", "position": {"file": "ci.yaml", "line": 17, "column": 9, "length": 50}}');
INSERT INTO "event" VALUES(17,1,'test',1,1709129685.207781,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.207781, "job": "test", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo \"tested thing\"", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "ci.yaml", "line": 17, "column": 9, "length": 50}}');
INSERT INTO "event" VALUES(18,1,'test',1,1709129685.2083902,'StepStarted','{"event": "StepStarted", "run": 1, "time": 1709129685.2083902, "job": "test", "attempt": 1, "step": 2, "id": "__run_2", "name": "Run exit 3", "position": {"file": "ci.yaml", "line": 18, "column": 9, "length": 24}}');
INSERT INTO "event" VALUES(19,1,'test',1,1709129685.2157707,'StepFinished','{"event": "StepFinished", "run": 1, "time": 1709129685.2157707, "job": "test", "attempt": 1, "step": 2, "id": "__run_2", "name": "Run exit 3", "outcome": "failure", "conclusion": "success", "exit_code": 3, "reason": "", "position": {"file": "ci.yaml", "line": 18, "column": 9, "length": 24}}');
INSERT INTO "event" VALUES(20,1,'test',1,1709129685.2308183,'JobFinished','{"event": "JobFinished", "run": 1, "time": 1709129685.2308183, "job": "test", "attempt": 1, "name": "test", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(21,1,'',0,1709129685.2308183,'RunFinished','{"event": "RunFinished", "run": 1, "time": 1709129685.2308183, "result": "success", "reason": ""}');
INSERT INTO "event" VALUES(22,2,'first',1,1709129706.337912,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.337912, "job": "first", "attempt": 1, "name": "first", "delay": 0.0}');
INSERT INTO "event" VALUES(23,2,'',0,1709129706.3587654,'RunStarted','{"event": "RunStarted", "run": 2, "time": 1709129706.3587654, "name": "Slow", "file": "slow.yaml", "jobs": 4}');
INSERT INTO "event" VALUES(24,2,'first',1,1709129706.3625946,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.3625946, "job": "first", "attempt": 1, "name": "first", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(25,2,'first',1,1709129706.3630486,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.3630486, "job": "first", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(26,2,'first',1,1709129706.3900928,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.3900928, "job": "first", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "slow.yaml", "line": 6, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(27,2,'first',1,1709129706.3907435,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.3907435, "job": "first", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo first", "position": {"file": "slow.yaml", "line": 8, "column": 9, "length": 15}}');
INSERT INTO "event" VALUES(28,2,'first',1,1709129706.4102838,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.4102838, "job": "first", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo first", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "slow.yaml", "line": 8, "column": 9, "length": 15}}');
INSERT INTO "event" VALUES(29,2,'first',1,1709129706.4329264,'JobFinished','{"event": "JobFinished", "run": 2, "time": 1709129706.4329264, "job": "first", "attempt": 1, "name": "first", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
INSERT INTO "event" VALUES(30,2,'slow',1,1709129706.4329264,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.4329264, "job": "slow", "attempt": 1, "name": "slow", "delay": 0.0}');
INSERT INTO "event" VALUES(31,2,'call / deep',1,1709129706.4329264,'JobQueued','{"event": "JobQueued", "run": 2, "time": 1709129706.4329264, "job": "call / deep", "attempt": 1, "name": "call / deep", "delay": 0.0}');
INSERT INTO "event" VALUES(32,2,'call / deep',1,1709129706.4593856,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.4593856, "job": "call / deep", "attempt": 1, "name": "call / deep", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(33,2,'call / deep',1,1709129706.466365,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.466365, "job": "call / deep", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(34,2,'slow',1,1709129706.4667735,'JobStarted','{"event": "JobStarted", "run": 2, "time": 1709129706.4667735, "job": "slow", "attempt": 1, "name": "slow", "worker": "", "image": "", "environment": ""}');
INSERT INTO "event" VALUES(35,2,'slow',1,1709129706.4689143,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.4689143, "job": "slow", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "position": null}');
INSERT INTO "event" VALUES(36,2,'call / deep',1,1709129706.485863,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.485863, "job": "call / deep", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "called.yaml", "line": 5, "column": 5, "length": 20}}');
INSERT INTO "event" VALUES(37,2,'call / deep',1,1709129706.4863265,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.4863265, "job": "call / deep", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo deep", "position": {"file": "called.yaml", "line": 7, "column": 9, "length": 14}}');
INSERT INTO "event" VALUES(38,2,'slow',1,1709129706.5029223,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.5029223, "job": "slow", "attempt": 1, "step": 0, "id": "", "name": "Set up job", "outcome": "success", "conclusion": "success", "exit_code": null, "reason": "", "position": {"file": "slow.yaml", "line": 10, "column": 5, "length": 12}}');
INSERT INTO "event" VALUES(39,2,'slow',1,1709129706.5034013,'StepStarted','{"event": "StepStarted", "run": 2, "time": 1709129706.5034013, "job": "slow", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo begun; exec sleep 5", "position": {"file": "slow.yaml", "line": 13, "column": 9, "length": 29}}');
INSERT INTO "event" VALUES(40,2,'call / deep',1,1709129706.5120206,'StepFinished','{"event": "StepFinished", "run": 2, "time": 1709129706.5120206, "job": "call / deep", "attempt": 1, "step": 1, "id": "__run", "name": "Run echo deep", "outcome": "success", "conclusion": "success", "exit_code": 0, "reason": "", "position": {"file": "called.yaml", "line": 7, "column": 9, "length": 14}}');
INSERT INTO "event" VALUES(41,2,'call / deep',1,1709129706.5411172,'JobFinished','{"event": "JobFinished", "run": 2, "time": 1709129706.5411172, "job": "call / deep", "attempt": 1, "name": "call / deep", "result": "success", "reason": "", "final": true, "softly": false, "outputs": {}, "environment": "", "environment_url": ""}');
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
INSERT INTO "job" VALUES(1,'build','build','build',0,'',0,'finished','success','',0,'{"made":"thing"}',1,0,1709129685.0358942,1709129685.0358942,1709129685.165969,1,'laptop:20934','laptop:20934/1',1709129715.048825);
INSERT INTO "job" VALUES(1,'test','test','test',1,'',0,'finished','success','',0,'{}',1,0,1709129685.165969,1709129685.165969,1709129685.2308183,2,'laptop:20934','laptop:20934/1',1709129715.1774287);
INSERT INTO "job" VALUES(2,'first','first','first',0,'',0,'finished','success','',0,'{}',1,0,1709129706.337912,1709129706.337912,1709129706.4329264,1,'laptop:22517','laptop:22517/1',1709129736.3669057);
INSERT INTO "job" VALUES(2,'slow','slow','slow',1,'',0,'running',NULL,'',0,'{}',1,0,1709129706.4329264,1709129706.4329264,NULL,0,'laptop:22517','laptop:22517/1',1709129737.055223);
INSERT INTO "job" VALUES(2,'last','last','last',2,'',0,'blocked',NULL,'',0,'{}',1,0,NULL,NULL,NULL,0,'','',NULL);
INSERT INTO "job" VALUES(2,'call','call','call',3,'',0,'finished','success','',0,'{}',1,0,NULL,NULL,1709129706.5411172,3,'','',NULL);
INSERT INTO "job" VALUES(2,'call / deep','deep','call / deep',3,'',0,'finished','success','',0,'{}',1,0,1709129706.4329264,1709129706.4329264,1709129706.5411172,2,'laptop:22517','laptop:22517/1',1709129736.4404094);
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
    job VARCHAR NOT NULL,
    CONSTRAINT place_of UNIQUE (run, job),
    FOREIGN KEY(run) REFERENCES run (id) ON DELETE CASCADE
);
INSERT INTO "place" VALUES(1,'/home/ada/shop','DEPLOY','deploy',2,'');
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
INSERT INTO "run" VALUES(1,'/home/ada/shop','ci.yaml','CI',1,'push','20934:2212047:5f0c7a52-6a0e-4e0b-9d4b-2f6f0e1f7a11/4026531836','finished','success','',0,4,1709129685.0358942,1709129685.0457604,1709129685.2308183);
INSERT INTO "run" VALUES(2,'/home/ada/shop','slow.yaml','Slow',1,'push','22517:2214232:5f0c7a52-6a0e-4e0b-9d4b-2f6f0e1f7a11/4026531836','running',NULL,'',0,4,1709129706.337912,1709129706.3587654,NULL);
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
INSERT INTO "step" VALUES(1,'build',1,0,'','Set up job','',1709129685.050618,1709129685.059209,'success','success',NULL,'');
INSERT INTO "step" VALUES(1,'build',1,1,'make','Run echo "made=thing" >> "$GITHUB_OUTPUT"','ci.yaml:9:9',1709129685.059824,1709129685.1354027,'success','success',0,'');
INSERT INTO "step" VALUES(1,'build',1,2,'__run','Warn','ci.yaml:11:9',1709129685.1376276,1709129685.156133,'success','success',0,'');
INSERT INTO "step" VALUES(1,'test',1,0,'','Set up job','',1709129685.1788926,1709129685.1869524,'success','success',NULL,'');
INSERT INTO "step" VALUES(1,'test',1,1,'__run','Run echo "tested thing"','ci.yaml:17:9',1709129685.1876416,1709129685.207781,'success','success',0,'');
INSERT INTO "step" VALUES(1,'test',1,2,'__run_2','Run exit 3','ci.yaml:18:9',1709129685.2083902,1709129685.2157707,'failure','success',3,'');
INSERT INTO "step" VALUES(2,'first',1,0,'','Set up job','',1709129706.3630486,1709129706.3900928,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'first',1,1,'__run','Run echo first','slow.yaml:8:9',1709129706.3907435,1709129706.4102838,'success','success',0,'');
INSERT INTO "step" VALUES(2,'call / deep',1,0,'','Set up job','',1709129706.466365,1709129706.485863,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'slow',1,0,'','Set up job','',1709129706.4689143,1709129706.5029223,'success','success',NULL,'');
INSERT INTO "step" VALUES(2,'call / deep',1,1,'__run','Run echo deep','called.yaml:7:9',1709129706.4863265,1709129706.5120206,'success','success',0,'');
INSERT INTO "step" VALUES(2,'slow',1,1,'__run','Run echo begun; exec sleep 5','slow.yaml:13:9',1709129706.5034013,NULL,NULL,NULL,NULL,'');
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
CREATE INDEX run_open ON run (owner) WHERE state != 'finished';
CREATE INDEX job_ready ON job (queue, rank, run, position) WHERE state = 'queued';
CREATE INDEX job_due ON job (due_at) WHERE state = 'scheduled';
CREATE INDEX job_leased ON job (worker) WHERE state = 'running';
CREATE INDEX annotation_of_run ON annotation (run, job);
CREATE INDEX event_of_run ON event (run, seq);
CREATE INDEX place_in_line ON place (project, name, id);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('run',2);
INSERT INTO "sqlite_sequence" VALUES('event',41);
INSERT INTO "sqlite_sequence" VALUES('place',1);
PRAGMA user_version = 3;
COMMIT;
