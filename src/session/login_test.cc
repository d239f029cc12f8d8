// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a client asks for in its startup packet, and who is asked whether it may have it.
#include "session/login.h"

#include <set>
#include <string>

#include "session/client_world_test.h"

namespace trireme {
namespace {

using namespace script;

const std::string kSetCet = Query("SET \"TimeZone\" TO 'cet';");

class LoginTest : public ClientTest {
 public:
  // A client with a wish that only a server can judge; the server has been asked.
  Peer AskFor(std::vector<ParameterView> more, const std::string& question) {
    Peer client = Connect();
    client.Send(AppStartup(more));
    if (backend_ == nullptr) backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
    backend_->Expects(question);
    return client;
  }
  // The client is known, but turned away.
  PgError Refusal(Peer& client) {
    client.ReadUntil('R');
    return client.ReadError();
  }
  // The value told of this parameter.
  std::string Told(std::string_view name) const {
    const std::string key = std::string(name) + '\0';
    const size_t at = welcome_.find(key);
    return at == std::string::npos ? "" : std::string(welcome_.c_str() + at + key.size());
  }
};

TEST_F(LoginTest, IsToldWhatTheServerMadeOfItsWish) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  client.ExpectsSilence();
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
  welcome_ = client.ReadUntil('Z');
  EXPECT_EQ(Told("TimeZone"), "CET");
  EXPECT_EQ(Told("server_version"), "15.4");
  Ask(client, Query("a"));  // the server has it
  backend_->Send(Done("A"));
  client.Expects(Done("A"));
}

TEST_F(LoginTest, TheNextOneWithTheSameWishNeedNotWait) {
  Start();
  Peer first = AskFor({{"TimeZone", "cet"}}, kSetCet);
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
  first.ReadUntil('Z');
  Ask(first, Query("busy"));
  Peer second = LogIn({{"timezone", "cet"}});
  EXPECT_EQ(Told("TimeZone"), "CET");
  backend_->Send(Done("BUSY"));
  first.Expects(Done("BUSY"));
  Ask(second, Query("a"));
}

TEST_F(LoginTest, AWishThatIsSureToBeTakenAsksNobody) {
  Start();
  Peer first = LogInFirst();
  Ask(first, Query("busy"));
  LogIn({{"application_name", "x"}, {"DateStyle", "german"}, {"extra_float_digits", "3"}});
  LogIn({{"TimeZone", "utc"}});
  EXPECT_EQ(Told("TimeZone"), "UTC");
}

TEST_F(LoginTest, WhatTheServerDoesNotReportStaysAsItWasAskedFor) {
  Start();
  const std::string set = Query("SET \"seed\" TO '0.5';");
  Peer client = AskFor({{"seed", "0.5"}}, set);
  backend_->Send(Done("SET"));
  client.ReadUntil('Z');
  Ask(client, Query("a"));
  backend_->Send(Done("A"));
  client.Expects(Done("A"));
  Peer plain = LogIn();
  plain.Send(Query("b"));
  backend_->Expects(Query("RESET \"seed\";") + Query("b"));
}

TEST_F(LoginTest, AnswersOfUnreportedListsAreSwallowed) {
  Start();
  Peer client = AskFor({{"search_path", "a,b"}},
                       Query("SELECT pg_catalog.set_config('search_path', 'a,b', false);"));
  backend_->Send(Message('T', "xx") + Message('D', "yy") + Done("SELECT 1"));
  welcome_ = client.ReadUntil('Z');
  EXPECT_EQ(Told("server_version"), "15.4");
}

TEST_F(LoginTest, HearsTheServersOwnRefusal) {
  Start();
  Peer client = AskFor({{"work_mem", "much"}}, Query("SET \"work_mem\" TO 'much';"));
  backend_->Send(Failed("22023"));
  client.ExpectsSilence();
  backend_->Send(Ready());
  const PgError error = Refusal(client);
  EXPECT_EQ(error.severity, severity::kFatal);
  EXPECT_EQ(error.sqlstate, "22023");
  EXPECT_EQ(error.message, "no");
  client.ExpectsEnd();
  EXPECT_TRUE(UntilIdle());
  Peer other = LogIn();  // the server is as it was
  Ask(other, Query("a"));
}

TEST_F(LoginTest, ARefusalIsNotRemembered) {
  Start();
  for (int i = 0; i < 2; ++i) {
    Peer client = AskFor({{"role", "late"}}, Query("SET \"role\" TO 'late';"));
    backend_->Send(Failed("22023") + Ready());
    EXPECT_EQ(Refusal(client).sqlstate, "22023");
    EXPECT_TRUE(UntilIdle());
  }
  Peer client = AskFor({{"role", "late"}}, Query("SET \"role\" TO 'late';"));
  backend_->Send(Done("SET"));
  client.ReadUntil('Z');
}

TEST_F(LoginTest, AServerThatEndsMeanwhileEndsTheLogin) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  backend_->Close();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kConnectionFailure);
  client.ExpectsEnd();
}

TEST_F(LoginTest, TheLastWordsOfAServerAreToldToTheClient) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  backend_->Send(Failed("57P01", severity::kFatal));
  backend_->Close();
  EXPECT_EQ(Refusal(client).sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
}

TEST_F(LoginTest, NonsenseFromTheServerEndsBoth) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  backend_->Send(Message('!', "nonsense"));
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kProtocolViolation);
  client.ExpectsEnd();
  backend_->ExpectsEnd();
}

TEST_F(LoginTest, AClientThatVanishesMeanwhileLeavesNothing) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}, {"work_mem", "1MB"}},
                       Query("SET \"TimeZone\" TO 'cet';SET \"work_mem\" TO '1MB';"));
  client.Close();
  EXPECT_TRUE(UntilNoClients());
  Peer cancel = Accept();
  cancel.Expects(CancelPacket());
  cancel.Close();
  backend_->Send(Complete("SET") + Complete("SET") + Reported("TimeZone", "CET") + Ready());
  EXPECT_TRUE(UntilIdle());
  Peer plain = LogIn();
  plain.Send(Query("a"));
  backend_->Expects(Query("SET \"TimeZone\" TO 'UTC';RESET \"work_mem\";") + Query("a"));
}

TEST_F(LoginTest, MayTakeTooLong) {
  config_.timeouts.client_login = 50ms;
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kQueryCanceled);
  client.ExpectsEnd();
  Accept().Close();  // the cancel
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
  EXPECT_TRUE(UntilIdle());
}

TEST_F(LoginTest, IsTurnedAwayByAShutdown) {
  Start();
  Peer client = AskFor({{"TimeZone", "cet"}}, kSetCet);
  world_->clients->Drain();
  EXPECT_EQ(client.ReadError().sqlstate, sqlstate::kAdminShutdown);
  client.ExpectsEnd();
  Accept().Close();  // the cancel
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
}

TEST_F(LoginTest, WaitsForAServerToAsk) {
  Start();
  Peer first = LogInFirst();
  Ask(first, Query("busy"));
  Peer second = Connect();
  second.Send(AppStartup({{"TimeZone", "cet"}}));
  world_->Until([&] { return world_->pool_counts().waiting == 1; });
  backend_->Send(Done("BUSY"));
  first.Expects(Done("BUSY"));
  backend_->Expects(kSetCet);
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
  welcome_ = second.ReadUntil('Z');
  EXPECT_EQ(Told("TimeZone"), "CET");
}

// --- startup packets that are known ---

TEST_F(LoginTest, TheSamePacketAgainIsToldTheSame) {
  Start();
  LogInFirst();
  EXPECT_EQ(world_->clients->known_startups().count(), 0u) << "nothing was known of the servers";
  const auto without_key = [this] {  // BackendKeyData and ReadyForQuery end it
    return welcome_.substr(0, welcome_.size() - Ready().size() - 13);
  };
  LogIn({{"application_name", "x"}, {"TimeZone", "utc"}});
  EXPECT_EQ(world_->clients->known_startups().count(), 1u);
  const std::string told = without_key();
  EXPECT_EQ(Told("application_name"), "");  // this server does not report it
  EXPECT_EQ(Told("TimeZone"), "UTC");
  Peer client = LogIn({{"application_name", "x"}, {"TimeZone", "utc"}});
  EXPECT_EQ(without_key(), told);
  EXPECT_EQ(world_->clients->known_startups().count(), 1u);
  EXPECT_EQ(world_->clients->wishes().count(), 1u);
  client.Send(Query("a"));  // … and has what it has asked for
  backend_->Expects(Query("SET \"application_name\" TO 'x';") + Query("a"));
}

TEST_F(LoginTest, KnownPacketsHaveKeysOfTheirOwn) {
  Start();
  LogInFirst();
  std::set<std::string> keys;
  for (int i = 0; i < 5; ++i) {
    LogIn();
    keys.insert(CancelRequest());
  }
  EXPECT_EQ(keys.size(), 5u);
}

TEST_F(LoginTest, AKnownPacketMayComeInAnyWay) {
  Start();
  LogInFirst();
  LogIn();
  ASSERT_EQ(world_->clients->known_startups().count(), 1u);
  const std::string packet = AppStartup();
  const auto enters = [this](Peer& client) {
    welcome_ = client.ReadUntil('Z');
    EXPECT_EQ(Told("server_version"), "15.4");
  };
  for (const size_t size : {3, 20}) {
    Peer client = Connect();
    client.Send(packet.substr(0, size));
    for (int turn = 0; turn < 3; ++turn) world_->Turn();
    client.Send(packet.substr(size));
    enters(client);
  }
  Peer asks = Connect();
  asks.Send(Written([](auto& w) { w.SslRequest(); }));
  asks.Expects("N");
  asks.Send(packet);
  enters(asks);
  Peer hasty = Connect();
  hasty.Send(packet + Query("a"));
  enters(hasty);
  backend_->Expects(Query("a"));
  EXPECT_EQ(world_->clients->known_startups().count(), 1u);
}

TEST_F(LoginTest, KnownPacketsOfProtocol32HaveLongKeys) {
  Start();
  LogInFirst();
  std::set<std::string> keys;
  for (int i = 0; i < 3; ++i) {
    Peer client = Connect();
    client.Send(Written([](auto& w) {
      w.StartupMessage(kProtocol32,
                       std::vector<ParameterView>{{"user", "app"}, {"database", "main"}});
    }));
    welcome_ = client.ReadUntil('Z');
    const size_t key = welcome_.size() - Ready().size() - kLongCancelSecretBytes;
    EXPECT_EQ(welcome_.substr(key - 9, 5), std::string("K\0\0\0\x28", 5));
    keys.insert(welcome_.substr(key - 4, 4 + kLongCancelSecretBytes));
  }
  EXPECT_EQ(keys.size(), 3u);
  EXPECT_EQ(world_->clients->known_startups().count(), 1u);
}

TEST_F(LoginTest, AKnownPacketIsToldWhatServersReportNow) {
  Start();
  LogInFirst();
  LogIn({{"DateStyle", "german"}});
  LogIn({{"DateStyle", "german"}});
  EXPECT_EQ(Told("server_version"), "15.4");
  backend_.reset();
  EXPECT_TRUE(world_->Until([&] { return world_->pool_counts().idle == 0; }));
  Peer client = LogIn();
  client.Send(Query("a"));
  backend_ = std::make_unique<Peer>(Accept());  // PostgreSQL was upgraded meanwhile
  backend_->Expects(AppStartup());
  backend_->Send(Written([](auto& w) {
    w.AuthenticationOk();
    w.ParameterStatus({"server_version", "16.1"});
    w.ParameterStatus({"DateStyle", "ISO, MDY"});
    w.BackendKeyData(kProcessId, AsBytes(kSecret));
    w.ReadyForQuery(TransactionStatus::kIdle);
  }));
  backend_->Expects(Query("a"));
  for (int i = 0; i < 2; ++i) {
    LogIn({{"DateStyle", "german"}});
    EXPECT_EQ(Told("server_version"), "16.1");
    EXPECT_EQ(Told("DateStyle"), "German, DMY");
    EXPECT_EQ(Told("TimeZone"), "");
  }
  EXPECT_EQ(world_->clients->known_startups().count(), 2u);
}

TEST_F(LoginTest, AnAnswerThatMayGoStaleIsNotKeptWithThePacket) {
  Start();
  Peer first = AskFor({{"TimeZone", "cet"}}, kSetCet);
  backend_->Send(Complete("SET") + Reported("TimeZone", "CET") + Ready());
  first.ReadUntil('Z');
  LogIn({{"TimeZone", "cet"}});
  EXPECT_EQ(world_->clients->known_startups().count(), 0u);
}

TEST_F(LoginTest, AKnownPacketProvesNothing) {
  config_.users[0].auth = AuthMethod::kPassword;
  Start();
  const auto try_password = [this](const std::string& password) {
    Peer client = Connect();
    client.Send(AppStartup());
    client.ReadUntil('R');
    client.Send(Written([&](auto& w) { w.PasswordMessage(password); }));
    return client;
  };
  Peer first = try_password("hunter2");
  backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
  first.ReadUntil('Z');
  try_password("hunter2").ReadUntil('Z');
  ASSERT_EQ(world_->clients->known_startups().count(), 1u);
  EXPECT_EQ(try_password("hunter3").ReadError().sqlstate, sqlstate::kInvalidPassword);
  try_password("hunter2").ReadUntil('Z');
}

TEST_F(LoginTest, AKnownPacketMayBeForgottenBeforeItsProof) {
  config_.users[0].auth = AuthMethod::kPassword;
  Start();
  const auto begin = [this] {
    Peer client = Connect();
    client.Send(AppStartup({{"TimeZone", "utc"}}));
    client.ReadUntil('R');
    return client;
  };
  const auto prove = [](Peer& client) {
    client.Send(Written([](auto& w) { w.PasswordMessage("hunter2"); }));
  };
  Peer first = begin();
  prove(first);
  backend_ = std::make_unique<Peer>(postgres_->AcceptLogin());
  first.ReadUntil('Z');
  KnownStartups& known = world_->clients->known_startups();
  for (int i = 0; i < 2; ++i) {
    Peer client = begin();
    if (i == 1) {
      ASSERT_EQ(known.count(), 1u);
      for (int other = 0; known.count() > size_t(other); ++other) {
        KnownStartup startup;
        startup.told = std::string(10'000, 'x');
        known.Note(std::to_string(other), std::move(startup));
      }
    }
    prove(client);
    welcome_ = client.ReadUntil('Z');
    EXPECT_EQ(Told("TimeZone"), "UTC");
  }
}

TEST_F(LoginTest, LimitsHoldForKnownPackets) {
  config_.routes[0].clients_max = 2;
  Start();
  Peer first = LogInFirst();
  Peer second = LogIn();
  ASSERT_EQ(world_->clients->known_startups().count(), 1u);
  Peer third = Connect();
  third.Send(AppStartup());
  EXPECT_EQ(third.ReadError().sqlstate, sqlstate::kTooManyConnections);
  second.Close();
  EXPECT_TRUE(world_->Until([&] { return world_->clients->count() == 1; }));
  LogIn();
}

TEST_F(LoginTest, WhatDependsOnTheAddressIsNotKept) {
  config_.application_name_add_host = true;
  Start();
  LogInFirst();
  for (int i = 0; i < 2; ++i) LogIn({{"application_name", "x"}});
  EXPECT_EQ(world_->clients->known_startups().count(), 0u);
}

TEST_F(LoginTest, MayNameTheClientsHost) {
  config_.application_name_add_host = true;
  Start();
  Peer client = LogInFirst({{"application_name", "psql"}});
  client.Send(Query("a"));
  backend_->Expects(Query("SET \"application_name\" TO 'psql - unix';") + Query("a"));
}

TEST_F(LoginTest, NamesTheClientsHostAfterALongName) {
  config_.application_name_add_host = true;
  Start();
  const std::string name(100, 'n');
  Peer client = LogInFirst({{"application_name", name}});
  client.Send(Query("a"));
  backend_->Expects(Query("SET \"application_name\" TO '" + name.substr(0, 56) + " - unix';") +
                    Query("a"));
}

TEST_F(LoginTest, NamesTheHostOfAClientWithoutAName) {
  config_.application_name_add_host = true;
  Start();
  Peer client = LogInFirst();
  client.Send(Query("a"));
  backend_->Expects(Query("SET \"application_name\" TO 'app - unix';") + Query("a"));
}

}  // namespace
}  // namespace trireme
