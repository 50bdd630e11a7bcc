BEGIN TRANSACTION;
CREATE TABLE answers (
	seq INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	problem_id TEXT NOT NULL, 
	strategy TEXT NOT NULL, 
	answer TEXT NOT NULL, 
	stopped_by TEXT, 
	usage TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id, problem_id) REFERENCES problems (run_id, problem_id), 
	UNIQUE (run_id, problem_id, strategy)
);
INSERT INTO "answers" VALUES(18,'one','3+4','vote','{"agreement":0.5,"choice":"7","text":"text 0"}','tokens','{"cached_tokens":0,"calls":1,"completion_tokens":0,"flop":0.0,"prompt_tokens":0,"reasoning_tokens":0,"samples":2,"seconds":0.0,"usd":0.0}');
INSERT INTO "answers" VALUES(26,'one','1+1','vote','{"agreement":0.5,"choice":"7","text":"text 0"}','tokens','{"cached_tokens":0,"calls":1,"completion_tokens":0,"flop":0.0,"prompt_tokens":0,"reasoning_tokens":0,"samples":2,"seconds":0.0,"usd":0.0}');
INSERT INTO "answers" VALUES(38,'two','3+4','vote','{"agreement":0.5,"choice":"7","text":"text 0"}','tokens','{"cached_tokens":0,"calls":1,"completion_tokens":0,"flop":0.0,"prompt_tokens":0,"reasoning_tokens":0,"samples":2,"seconds":0.0,"usd":0.0}');
INSERT INTO "answers" VALUES(45,'two','1+1','vote','{"agreement":0.5,"choice":"7","text":"text 0"}','tokens','{"cached_tokens":0,"calls":1,"completion_tokens":0,"flop":0.0,"prompt_tokens":0,"reasoning_tokens":0,"samples":2,"seconds":0.0,"usd":0.0}');
CREATE TABLE calls (
	seq INTEGER NOT NULL, 
	id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	problem_id TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	role TEXT NOT NULL, 
	model TEXT, 
	status TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	requested INTEGER NOT NULL, 
	samples INTEGER NOT NULL, 
	prompt_tokens INTEGER, 
	cached_tokens INTEGER, 
	completion_tokens INTEGER, 
	reasoning_tokens INTEGER, 
	flop DOUBLE, 
	flop_method TEXT, 
	usd DOUBLE, 
	seconds DOUBLE NOT NULL, 
	started DOUBLE NOT NULL, 
	error TEXT, 
	request TEXT NOT NULL, 
	prompt_hash TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id, problem_id) REFERENCES problems (run_id, problem_id), 
	UNIQUE (id), 
	FOREIGN KEY(prompt_hash) REFERENCES texts (hash)
);
INSERT INTO "calls" VALUES(9,2,'one','3+4','s','solver','tiny','failed',1,2,0,NULL,0,0,NULL,NULL,'shape',NULL,0.25,1500000000.0,'boom','{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54');
INSERT INTO "calls" VALUES(10,3,'one','3+4','s','solver','tiny','ok',2,2,2,10,0,10,NULL,NULL,'shape',NULL,0.25,1500000000.0,NULL,'{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54');
INSERT INTO "calls" VALUES(20,4,'one','1+1','s','solver','tiny','failed',1,2,0,NULL,0,0,NULL,NULL,'shape',NULL,0.25,1500000000.0,'boom','{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9');
INSERT INTO "calls" VALUES(21,5,'one','1+1','s','solver','tiny','ok',2,2,2,10,0,10,NULL,NULL,'shape',NULL,0.25,1500000000.0,NULL,'{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9');
INSERT INTO "calls" VALUES(32,7,'two','3+4','s','solver','tiny','failed',1,2,0,NULL,0,0,NULL,NULL,'shape',NULL,0.25,1500000000.0,'boom','{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54');
INSERT INTO "calls" VALUES(33,8,'two','3+4','s','solver','tiny','ok',2,2,2,10,0,10,NULL,NULL,'shape',NULL,0.25,1500000000.0,NULL,'{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54');
INSERT INTO "calls" VALUES(39,9,'two','1+1','s','solver','tiny','failed',1,2,0,NULL,0,0,NULL,NULL,'shape',NULL,0.25,1500000000.0,'boom','{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9');
INSERT INTO "calls" VALUES(40,10,'two','1+1','s','solver','tiny','ok',2,2,2,10,0,10,NULL,NULL,'shape',NULL,0.25,1500000000.0,NULL,'{"max_tokens":256,"offset":0,"prefix":"","sampling":{"temperature":0.8,"top_p":1.0},"seed":1180591620717411303424,"stop":[]}','3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9');
CREATE TABLE entries (
	seq INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	prev TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (seq)
);
INSERT INTO "entries" VALUES(1,'runs','["one"]','7f071e7aa3f3b4c80233100e19e4a77aaaf1d419170bb608021cf42477048d50','99ff60d3fdfe106fcc69fe73dfce65130169efccd48d73b6a056c692b93d0124','87bc9f57ebf016e6f2216780a6a182c106fbf848b5808d8fd6aa6fffcaa05e23');
INSERT INTO "entries" VALUES(2,'texts','["2decf17e28162ead3ace0da7cf3f21f0fee74abb5613e26571321177a57694cf"]','4525b199002a4e9fa0230a5d8fbbea184bb91e2f71ba84633cc2ca1b00a9de98','87bc9f57ebf016e6f2216780a6a182c106fbf848b5808d8fd6aa6fffcaa05e23','09b04eb0af4cbf1cbf73c8ba1d3933b855fbeb2ef0b11566558351ba3e55a9f5');
INSERT INTO "entries" VALUES(3,'texts','["7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451"]','9cfabd6587a05f6c60688453f07b9afed350cc594836460716a2dbe2accb6938','09b04eb0af4cbf1cbf73c8ba1d3933b855fbeb2ef0b11566558351ba3e55a9f5','8f020a6835f42b3f5ecbff0b0affc291e396ab999df2f120819c8dd2eda79de5');
INSERT INTO "entries" VALUES(4,'problems','["one","3+4"]','27d1e5e8b618755f9f10091845a21e72b395cd9eea9feae9ccf5ed0a2fbed7a3','8f020a6835f42b3f5ecbff0b0affc291e396ab999df2f120819c8dd2eda79de5','a0f6d2c0357046a6a1bd980891102c37f28ac515debd546e7558c66b4208dd34');
INSERT INTO "entries" VALUES(5,'texts','["d03a07acadb9d0a3832328b92618977147bf4ba450855f9306774aa848cec3f5"]','dd374ae44828dc1d3f56c1e8f05be01010e0999edc8c156c2d7e3b8a88a62b3e','a0f6d2c0357046a6a1bd980891102c37f28ac515debd546e7558c66b4208dd34','7890110705e298e3aeb4a4e012ce088ee7ffe7397253bc4aaa0ccaa12f9647c7');
INSERT INTO "entries" VALUES(6,'problems','["one","1+1"]','2e1eb7b42bc774cc1c9753898bd8d71e7a13783dba6b281d4e4a860a11b2db03','7890110705e298e3aeb4a4e012ce088ee7ffe7397253bc4aaa0ccaa12f9647c7','27455656220b46015a797705d40155933581cdac44c693470d58a9aea008b192');
INSERT INTO "entries" VALUES(7,'events','["one",7]','7901cb2e3b166bba56896f6df7add79ec6c6a41b0afabea0f41be50b8a61375c','27455656220b46015a797705d40155933581cdac44c693470d58a9aea008b192','eddd2b49c4bd35e391116819adbdc05293e0859308ce8faf6832db75d593915b');
INSERT INTO "entries" VALUES(8,'texts','["1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54"]','e2a7d250217080df93e38e54c5d38d6e482f921f04d6d5dffaa6b361ee9038e9','eddd2b49c4bd35e391116819adbdc05293e0859308ce8faf6832db75d593915b','09bf8fca56f8f9d83307f4345dd766a95eae5c1256e4a71c9d2352f053891c94');
INSERT INTO "entries" VALUES(9,'calls','[2]','2cf51177154e50aff206bb7eb450a0282b9ec066e923f3ca53315eb80ec09d54','09bf8fca56f8f9d83307f4345dd766a95eae5c1256e4a71c9d2352f053891c94','00c68024bf69f2f289953cdc094085723666e88a2a430b7969beb8fb5aa9aa34');
INSERT INTO "entries" VALUES(10,'calls','[3]','cf1e16ca818d1abcc5628d510e64539df6d5342955d4356cb1d114db5dde6192','00c68024bf69f2f289953cdc094085723666e88a2a430b7969beb8fb5aa9aa34','4dcd066c6ee24577143496bb6f08f50c410be563381dc38d117535556e40d4d9');
INSERT INTO "entries" VALUES(11,'texts','["822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef"]','7f26af9914ae38feff2dcb23e7eaae55ae8a1f77cd9102916b51ae6f42e2318d','4dcd066c6ee24577143496bb6f08f50c410be563381dc38d117535556e40d4d9','9821694faa842da1f38bca013df03a21a9febc9c63d250447e626ebbf0733bb0');
INSERT INTO "entries" VALUES(12,'texts','["b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408"]','05c1267065fb06702cac15a3086ca4868873f7dc39cfc3a0ebec2a333a9b31fc','9821694faa842da1f38bca013df03a21a9febc9c63d250447e626ebbf0733bb0','809bc18497df34bfb66387aabdac1cc275b72826c3502a1ad60ed52c90e84518');
INSERT INTO "entries" VALUES(13,'samples','["one","3+4","s",0,3]','b9100d84ace5f9798b019d23a0cda8575db2e1944906e5c2eb9145a1c097f50d','809bc18497df34bfb66387aabdac1cc275b72826c3502a1ad60ed52c90e84518','ff2da78ec4c3a36f6809b0b4967ee4058bfc7cb05dc1412578af937460842632');
INSERT INTO "entries" VALUES(14,'texts','["900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663"]','445816285c6363bb84fabfe76a55969c2959813794dd8dec1c3fd90eb149d9a0','ff2da78ec4c3a36f6809b0b4967ee4058bfc7cb05dc1412578af937460842632','ecdcb4637be6856dca72445050015c9c483218840cb8816ccab343afce6dca7e');
INSERT INTO "entries" VALUES(15,'samples','["one","3+4","s",1,3]','9250bda7f4bc65be191190d2dd422fd5d5446188ba43f7fc89e2299a56c1610a','ecdcb4637be6856dca72445050015c9c483218840cb8816ccab343afce6dca7e','ff12938567adbc4f92cb537bebfaf5ca3ef1a4cd0c437f31c0d472917dcb3606');
INSERT INTO "entries" VALUES(16,'grades','["one","3+4","s",0,"exact"]','39909261b141abfb49acde2b4ae487a161fabb93f24853a32a2a9a583c261f78','ff12938567adbc4f92cb537bebfaf5ca3ef1a4cd0c437f31c0d472917dcb3606','adab9b1df6755da9a3c45cb0ed318bad510a1c89b7fc5b8237dc01e3833054cb');
INSERT INTO "entries" VALUES(17,'grades','["one","3+4","s",1,"exact"]','c7db245905b98261c7229c74796123e0d2e406131ccb9110accdb0c73a0d0912','adab9b1df6755da9a3c45cb0ed318bad510a1c89b7fc5b8237dc01e3833054cb','6a1255965bf3c68c14e337f0874b26aee55860d2934a3b22762074d3fd3e5e03');
INSERT INTO "entries" VALUES(18,'answers','["one","3+4","vote"]','7ec012835ceeaca021b6e35df67b6a1473f5427e8b5520267819d3ee2966b1c0','6a1255965bf3c68c14e337f0874b26aee55860d2934a3b22762074d3fd3e5e03','f4f5584c80808a76f044b764d0bdbc5e4ae473156e57fa613b7173d364251178');
INSERT INTO "entries" VALUES(19,'texts','["3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9"]','60c12e050c7b7ee61feb09795522ceb3d442dcf774cd3f7c7515f672e4fbafef','f4f5584c80808a76f044b764d0bdbc5e4ae473156e57fa613b7173d364251178','deb7d6ec4f95739a5a59ab823af85134a2b0fabab1f7fecf1226e32bd5a95ee9');
INSERT INTO "entries" VALUES(20,'calls','[4]','d1758ccb385bde076ca2add3b64cec1e683b2823b09e259a5293ed2ddf129198','deb7d6ec4f95739a5a59ab823af85134a2b0fabab1f7fecf1226e32bd5a95ee9','2fd1fab09bcb9572ce68f767bba378416aebf9b32ea01bd08126c15a958dea51');
INSERT INTO "entries" VALUES(21,'calls','[5]','a4c93b52d2562e9e9f98f90f3c505696b9010fc1b35769f88e559064687eadbd','2fd1fab09bcb9572ce68f767bba378416aebf9b32ea01bd08126c15a958dea51','7767acd05008ff14217191e1dcc755886425fbb21f323af43a1bedf8224f82dc');
INSERT INTO "entries" VALUES(22,'samples','["one","1+1","s",0,5]','448333898f93d9893c12c3d0c601297566b68fa7094c827ce9a1d59a97f234d5','7767acd05008ff14217191e1dcc755886425fbb21f323af43a1bedf8224f82dc','e7fb665b8495e6f0d09c75cc378c8bac1349b70a12a00957fc2ad830a4121278');
INSERT INTO "entries" VALUES(23,'samples','["one","1+1","s",1,5]','8651707932d28edd2b83cf90e7144e0e29acf3e647402465263a0363c5310630','e7fb665b8495e6f0d09c75cc378c8bac1349b70a12a00957fc2ad830a4121278','ca7133038d9026d3a0370dd58b23496c5fcec57205d64ddf37b78cda7faf4f9a');
INSERT INTO "entries" VALUES(24,'grades','["one","1+1","s",0,"exact"]','ba464ad4b3fe219e601fc586a63038f4f985f2f1e94fe16c00167afe9bd4b795','ca7133038d9026d3a0370dd58b23496c5fcec57205d64ddf37b78cda7faf4f9a','215682cc1f278c8291474a70b3367f94e82b5f239706c7ca225f8e347709f0be');
INSERT INTO "entries" VALUES(25,'grades','["one","1+1","s",1,"exact"]','709ba8440ee92c17918cb063af2a8c1eb9cfd70ffefb3c48b30646205ba29db6','215682cc1f278c8291474a70b3367f94e82b5f239706c7ca225f8e347709f0be','e968fb255d5ff467de12a07872f592e3dc8d1a3c1d70fc79fb7862ff2b2e7a4e');
INSERT INTO "entries" VALUES(26,'answers','["one","1+1","vote"]','f8ccb0e7d5c49646723f7fd162038eb71c59c8dd0807288fc4f8e329bc6ba98e','e968fb255d5ff467de12a07872f592e3dc8d1a3c1d70fc79fb7862ff2b2e7a4e','7fa6575c6c1cbfc2d872c4a8332eb84954252ad09892f68c01beb7b2beb54993');
INSERT INTO "entries" VALUES(27,'events','["one",27]','a1cf87981744d9ac731f7f10f6ae2f1787124c0d9ebe4231004f3bd6deb74cf9','7fa6575c6c1cbfc2d872c4a8332eb84954252ad09892f68c01beb7b2beb54993','12a2a8cd7c7b39d360e2cb229d012ce7c6d3e6f573450ede0435257ab0e10ec5');
INSERT INTO "entries" VALUES(28,'runs','["two"]','812b80325a7c23788f9e538490c443fee395e3ef98b53ccc1ef7d61fc38ba156','12a2a8cd7c7b39d360e2cb229d012ce7c6d3e6f573450ede0435257ab0e10ec5','465329650ffd3441876cf525c749048c381fff054331084760fa470de5107a66');
INSERT INTO "entries" VALUES(29,'problems','["two","3+4"]','3acee837726508bcb752b9766df6e5272e4f6f68dd548ca98033e46c47d2384f','465329650ffd3441876cf525c749048c381fff054331084760fa470de5107a66','54bb41d95a6b5d096b10ea5e5dbd8226ee2c38ac8a4efd7bcd218952e1ca76f9');
INSERT INTO "entries" VALUES(30,'problems','["two","1+1"]','a0466081ebbc7220194623d5de4714794c1abdbea693aea52885e2ff1cd597e3','54bb41d95a6b5d096b10ea5e5dbd8226ee2c38ac8a4efd7bcd218952e1ca76f9','12dd468d9f567d8a4d49ad36203afeff108d00c61b068d053941d91acc533b9f');
INSERT INTO "entries" VALUES(31,'events','["two",31]','3f08fdc6b59ff7d0e818ca519b38a864b39ffe53481a52cc0f7dda4f0bd25278','12dd468d9f567d8a4d49ad36203afeff108d00c61b068d053941d91acc533b9f','3bf136345d154ef05bb7ebe0ea115d5d2024b6702aaeb73e0a5ad95ca1358b0f');
INSERT INTO "entries" VALUES(32,'calls','[7]','5a205efd5b92c7348a895104af9ddfe4dc3efb0b8544b1ac5c8c6c183396a124','3bf136345d154ef05bb7ebe0ea115d5d2024b6702aaeb73e0a5ad95ca1358b0f','86e4f913caf1712985a88173f3cf36c81bfdc085ece7c571160f71b32350e7c3');
INSERT INTO "entries" VALUES(33,'calls','[8]','686bdbd0dcb9cc4e1c031f9dd176b1370b1bfc5dec52cea1258fd4c3f95f1692','86e4f913caf1712985a88173f3cf36c81bfdc085ece7c571160f71b32350e7c3','6629a2e560b47abd604917318eae2e242adde07405aa6b305d5061c12de38f28');
INSERT INTO "entries" VALUES(34,'samples','["two","3+4","s",0,8]','e07056186c0e7825f7bcdacdb72a28202d93571c98ce2ff9299a9252437fc252','6629a2e560b47abd604917318eae2e242adde07405aa6b305d5061c12de38f28','5f3f6f2bba8c2ed6c91e1428a243235961c7a26c4a9a85f4775c786540d294e9');
INSERT INTO "entries" VALUES(35,'samples','["two","3+4","s",1,8]','0d144d6429965d2d57b41bdc378ebef8dbc8205840bf1b22cae3dfdb50be1f10','5f3f6f2bba8c2ed6c91e1428a243235961c7a26c4a9a85f4775c786540d294e9','f0fdc1c899887afac92e85646493105b502df874c229d74e9302d85cf35ad7bf');
INSERT INTO "entries" VALUES(36,'grades','["two","3+4","s",0,"exact"]','8c7d1b4a601b312653c969cbc54e5c11c53a244ffdea34de8ef7c52ef82ea133','f0fdc1c899887afac92e85646493105b502df874c229d74e9302d85cf35ad7bf','0e5d2b5d1d5f74e8339a9f9987b57e692795127b4ba22f0fc74258f4b9bd728a');
INSERT INTO "entries" VALUES(37,'grades','["two","3+4","s",1,"exact"]','28f23a65fd49c5968b80b6b5e4913cba1ae405e9645d54b35d767165281b0aaf','0e5d2b5d1d5f74e8339a9f9987b57e692795127b4ba22f0fc74258f4b9bd728a','2fe75863099062980b0089d4bbc015c85b64023e0e64ef4d664e36ae1cbfd81a');
INSERT INTO "entries" VALUES(38,'answers','["two","3+4","vote"]','ec7dd042d62707799cbf3923bf461a8f2ca66230eed12a02c61471b180c6841e','2fe75863099062980b0089d4bbc015c85b64023e0e64ef4d664e36ae1cbfd81a','4af39926fe637d1869144753a78d11035864ad890e3756d59e455e1143e46576');
INSERT INTO "entries" VALUES(39,'calls','[9]','43d671383f7009414d494e9f06a8e9b9651006aa7aeedbd4a7d3a6b64b41c445','4af39926fe637d1869144753a78d11035864ad890e3756d59e455e1143e46576','0d958c0dd2a348e352b1cd93879cd08fd85366c2b2669ea781897dd6fca26d07');
INSERT INTO "entries" VALUES(40,'calls','[10]','fd32c15666f7d411fa80266b48ea80cffedbd6cb0e4911c010e24b00f57a9f18','0d958c0dd2a348e352b1cd93879cd08fd85366c2b2669ea781897dd6fca26d07','cc61e6ac13803aa3d209d6591b5e6356403b22e562f5466127021b19fad9e58d');
INSERT INTO "entries" VALUES(41,'samples','["two","1+1","s",0,10]','28f41fd5d565027a2ca824adf585ab5be7025ed6f572fdcd66942bf5ef4ecdc4','cc61e6ac13803aa3d209d6591b5e6356403b22e562f5466127021b19fad9e58d','f9df892a2e0f8d4f5f08ef9689c635016e2dd718e5c4ed9e73a75c87f11cdc53');
INSERT INTO "entries" VALUES(42,'samples','["two","1+1","s",1,10]','e7d8552a0586853b087955f09365c975864cbeed4de1af61b85a1cb874e7a52d','f9df892a2e0f8d4f5f08ef9689c635016e2dd718e5c4ed9e73a75c87f11cdc53','f1930aa77904e6d9435de7436241166da8afc55fac9da9bcb0a51569bf82d0a1');
INSERT INTO "entries" VALUES(43,'grades','["two","1+1","s",0,"exact"]','b004c05001bf1ee2cb27cf8271c7c8c255b57e139cd3f1fb65276207c50262c2','f1930aa77904e6d9435de7436241166da8afc55fac9da9bcb0a51569bf82d0a1','c4d79aaddf2731f1b73071bc84fb286c15551b0404830249e59ee9eaae06c953');
INSERT INTO "entries" VALUES(44,'grades','["two","1+1","s",1,"exact"]','29318ac61de03edf7608351bf7d6ce3a8128caa7a39bc7549c6e854eefab2ccd','c4d79aaddf2731f1b73071bc84fb286c15551b0404830249e59ee9eaae06c953','4fd1a9c4c1fadd9690744e6954030f19d89a8896ca7f5e8a1032ae67db95e646');
INSERT INTO "entries" VALUES(45,'answers','["two","1+1","vote"]','78f778edecfa37f6e51d44eb31347ab3bd99710b3ed435009a5c92e2ec4da4b5','4fd1a9c4c1fadd9690744e6954030f19d89a8896ca7f5e8a1032ae67db95e646','60a1079cafc896fdb8f6767bf4e400491f0da10fa162782bb84d7e2da24e3439');
INSERT INTO "entries" VALUES(46,'events','["two",46]','756f4a537a1e5b93144a465fbef34ab0c2e78186bec2e857076768a5c143cc1b','60a1079cafc896fdb8f6767bf4e400491f0da10fa162782bb84d7e2da24e3439','cd56090a501636c68ac928c905335c6df545c27fb18d2ea16ea6762c617680f4');
CREATE TABLE events (
	seq INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	kind TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (run_id, seq), 
	FOREIGN KEY(run_id) REFERENCES runs (id)
);
INSERT INTO "events" VALUES(7,'one',1.79564614124203825e+09,'started','{}');
INSERT INTO "events" VALUES(27,'one',1.79564614125964736937e+09,'finished','json:"{\"note\":\"\u00e9 \ud800\"}"');
INSERT INTO "events" VALUES(31,'two',1.79564614126335072522e+09,'started','{}');
INSERT INTO "events" VALUES(46,'two',1.79564614131914186473e+09,'finished','json:"{\"note\":\"\u00e9 \ud800\"}"');
CREATE TABLE grades (
	seq INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	problem_id TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	grader TEXT NOT NULL, 
	correct INTEGER NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id, problem_id) REFERENCES problems (run_id, problem_id), 
	UNIQUE (run_id, problem_id, stream, position, grader)
);
INSERT INTO "grades" VALUES(16,'one','3+4','s',0,'exact',1);
INSERT INTO "grades" VALUES(17,'one','3+4','s',1,'exact',0);
INSERT INTO "grades" VALUES(24,'one','1+1','s',0,'exact',1);
INSERT INTO "grades" VALUES(25,'one','1+1','s',1,'exact',0);
INSERT INTO "grades" VALUES(36,'two','3+4','s',0,'exact',1);
INSERT INTO "grades" VALUES(37,'two','3+4','s',1,'exact',0);
INSERT INTO "grades" VALUES(43,'two','1+1','s',0,'exact',1);
INSERT INTO "grades" VALUES(44,'two','1+1','s',1,'exact',0);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
);
INSERT INTO "meta" VALUES('schema_version','1');
INSERT INTO "meta" VALUES('ledger_id','6798e0d6-cfab-4dcc-8017-91fa98df2060');
CREATE TABLE problems (
	seq INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	problem_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	question_hash TEXT NOT NULL, 
	key_hash TEXT, 
	PRIMARY KEY (seq), 
	UNIQUE (run_id, problem_id), 
	FOREIGN KEY(run_id) REFERENCES runs (id), 
	FOREIGN KEY(question_hash) REFERENCES texts (hash), 
	FOREIGN KEY(key_hash) REFERENCES texts (hash)
);
INSERT INTO "problems" VALUES(4,'one','3+4',0,'2decf17e28162ead3ace0da7cf3f21f0fee74abb5613e26571321177a57694cf','7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451');
INSERT INTO "problems" VALUES(6,'one','1+1',1,'d03a07acadb9d0a3832328b92618977147bf4ba450855f9306774aa848cec3f5',NULL);
INSERT INTO "problems" VALUES(29,'two','3+4',0,'2decf17e28162ead3ace0da7cf3f21f0fee74abb5613e26571321177a57694cf','7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451');
INSERT INTO "problems" VALUES(30,'two','1+1',1,'d03a07acadb9d0a3832328b92618977147bf4ba450855f9306774aa848cec3f5',NULL);
CREATE TABLE runs (
	seq INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	created DOUBLE NOT NULL, 
	config TEXT NOT NULL, 
	config_hash TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (id)
);
INSERT INTO "runs" VALUES(1,'one',1.79564614123811554908e+09,'{"samples":2,"tasks":["sums"],"who":"one"}','bebf25550bb3966dfe79ba22715152c34190089f86dc6b41571db7f59e2751c1');
INSERT INTO "runs" VALUES(28,'two',1.7956461412615036964e+09,'{"samples":2,"tasks":["sums"],"who":"two"}','313fd158f0c740794ca9cb989b5793458ba96d9893015c240f621aeadb97437f');
CREATE TABLE samples (
	seq INTEGER NOT NULL, 
	call_id INTEGER NOT NULL, 
	run_id TEXT NOT NULL, 
	problem_id TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	text_hash TEXT NOT NULL, 
	reasoning_hash TEXT, 
	choice TEXT, 
	tokens INTEGER, 
	logprob DOUBLE, 
	logprobs TEXT, 
	finish TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	FOREIGN KEY(run_id, problem_id) REFERENCES problems (run_id, problem_id), 
	UNIQUE (run_id, problem_id, stream, position, call_id), 
	FOREIGN KEY(call_id) REFERENCES calls (id), 
	FOREIGN KEY(text_hash) REFERENCES texts (hash), 
	FOREIGN KEY(reasoning_hash) REFERENCES texts (hash)
);
INSERT INTO "samples" VALUES(13,3,'one','3+4','s',0,'822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(15,3,'one','3+4','s',1,'900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(22,5,'one','1+1','s',0,'822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(23,5,'one','1+1','s',1,'900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(34,8,'two','3+4','s',0,'822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(35,8,'two','3+4','s',1,'900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(41,10,'two','1+1','s',0,'822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
INSERT INTO "samples" VALUES(42,10,'two','1+1','s',1,'900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663','b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','7',5,-0.1,'[-0.05,-0.05,-0.05,-0.05,-0.05]','stop');
CREATE TABLE texts (
	seq INTEGER NOT NULL, 
	hash TEXT NOT NULL, 
	text TEXT NOT NULL, 
	PRIMARY KEY (seq), 
	UNIQUE (hash)
);
INSERT INTO "texts" VALUES(2,'2decf17e28162ead3ace0da7cf3f21f0fee74abb5613e26571321177a57694cf','{"data":{"numbers":[1,2]},"direct":{"messages":[["user","What is 3+4?"]],"text":"Q: 3+4\nA:"},"extract":"answer","id":"3+4","max_tokens":256,"prompt":{"messages":[["user","What is 3+4?"]],"text":"Q: 3+4\nA:"},"stop":[],"task":"sums","text":"What is 3+4?"}');
INSERT INTO "texts" VALUES(3,'7902699be42c8a8e46fbbb4501726517e86b22c56a189f7625a6da49081b2451','7');
INSERT INTO "texts" VALUES(5,'d03a07acadb9d0a3832328b92618977147bf4ba450855f9306774aa848cec3f5','{"data":{"numbers":[1,2]},"direct":{"messages":[["user","What is 1+1?"]],"text":"Q: 1+1\nA:"},"extract":"answer","id":"1+1","max_tokens":256,"prompt":{"messages":[["user","What is 1+1?"]],"text":"Q: 1+1\nA:"},"stop":[],"task":"sums","text":"What is 1+1?"}');
INSERT INTO "texts" VALUES(8,'1baa972d18307846c008be0db7865f2e856b4c150ce47667048811cbcfbd3b54','{"messages":[["user","What is 3+4?"]],"text":"Q: 3+4\nA:"}');
INSERT INTO "texts" VALUES(11,'822beb0d1729878ad343b6c35b1d5e45e62f8e36b6543c2312b6f1cb6d00cdef','text 0');
INSERT INTO "texts" VALUES(12,'b82e2178ecf4d0c5859dc2e169d7fed8673f9f6eeb9f3591bed5f253b7742408','hm');
INSERT INTO "texts" VALUES(14,'900a4469df00ccbfd0c145c6d1e4b7953dd0afafadd7534e3a4019e8d38fc663','text 1');
INSERT INTO "texts" VALUES(19,'3faef29713f32eb14e222dbaa7de73dfaa29a63b478a4756849893545e91d4d9','{"messages":[["user","What is 1+1?"]],"text":"Q: 1+1\nA:"}');
CREATE INDEX calls_of_run ON calls (run_id);
COMMIT;
