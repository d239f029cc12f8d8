// SPDX-License-Identifier: GPL-3.0-or-later
//
// Who may come in, and how the daemon itself comes in to PostgreSQL: every password method on both
// sides.
#include <gtest/gtest.h>

#include "rig/fake_server.h"
#include "rig/scram_math.h"
#include "rig/trireme.h"

namespace trireme::e2e {
namespace {

// The role PostgreSQL lets in without a password, so that only our own check is seen.
constexpr char kUser[] = "app_trust";
constexpr char kPassword[] = "secret-app_trust";

enum class Form { kPlaintext, kMd5, kScram };

std::string SecretIn(Form form) {
  switch (form) {
    case Form::kPlaintext:
      return kPassword;
    case Form::kMd5:
      return "md5" + Hex(Md5(std::string(kPassword) + kUser));
    case Form::kScram:
      return Postgres::Shared().StoredSecret(kUser);
  }
  return "";
}

TriremeOptions AuthOptions(const std::string& method, Form form) {
  return {.auth = method, .patch = {{"users", {{kUser, {{"secret", SecretIn(form)}}}}}}};
}

struct MethodAndForm {
  const char* method;
  Form form;
  const char* name;
};

class ClientPassword : public ::testing::TestWithParam<MethodAndForm> {};
INSTANTIATE_TEST_SUITE_P(
    Login, ClientPassword,
    ::testing::Values(MethodAndForm{"password", Form::kPlaintext, "CleartextOfPlaintext"},
                      MethodAndForm{"password", Form::kMd5, "CleartextOfMd5"},
                      MethodAndForm{"password", Form::kScram, "CleartextOfScram"},
                      MethodAndForm{"md5", Form::kPlaintext, "Md5OfPlaintext"},
                      MethodAndForm{"md5", Form::kMd5, "Md5OfMd5"},
                      MethodAndForm{"md5", Form::kScram, "Md5OfScram"},
                      MethodAndForm{"scram-sha-256", Form::kPlaintext, "ScramOfPlaintext"},
                      MethodAndForm{"scram-sha-256", Form::kScram, "ScramOfScram"}),
    [](const auto& instance) { return instance.param.name; });

TEST_P(ClientPassword, LetsTheRightOneIn) {
  Trireme trireme(AuthOptions(GetParam().method, GetParam().form));
  Connection connection(trireme.As(kUser));
  EXPECT_EQ(connection.Value("SELECT current_user"), kUser);
}

TEST_P(ClientPassword, RefusesAWrongOne) {
  Trireme trireme(AuthOptions(GetParam().method, GetParam().form));
  Target target = trireme.As(kUser);
  target.password = "wrong";
  EXPECT_NE(RefusalOf(target).find("authentication failed"), std::string::npos)
      << RefusalOf(target);
}

TEST_P(ClientPassword, RefusesAnEmptyOne) {
  Trireme trireme(AuthOptions(GetParam().method, GetParam().form));
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"user", kUser}, {"database", "app"}}));
  EXPECT_EQ(client.Read().type, 'R');
  client.Send(PasswordMessage(""));
  EXPECT_EQ(Types(client.ReadUntilClosed()), "E");
}

TEST(Login, TrustAsksNoPassword) {
  Trireme trireme({.auth = "trust"});
  EXPECT_EQ(Types(trireme.Raw().TryLogin()).substr(0, 2), "RS");
}

TEST(Login, TrustRefusesAnUnknownUser) {
  Trireme trireme({.auth = "trust"});
  const Message error = FirstErrorOf(trireme.Raw(), {.user = "stranger"});
  EXPECT_EQ(ErrorField(error, 'S'), "FATAL");
  EXPECT_EQ(ErrorField(error, 'C').substr(0, 2), "28") << Describe(error);
}

TEST(Login, RejectRefusesWithoutAskingForAPassword) {
  SKIP_AGAINST_PGBOUNCER("has reject in its HBA file only");
  Trireme trireme({.auth = "reject"});
  const std::vector<Message> answer = trireme.Raw().TryLogin();
  EXPECT_EQ(Types(answer), "E");
  EXPECT_EQ(ErrorField(answer.at(0), 'C'), "28000");
}

TEST(Login, AUsersMethodOverridesTheGlobalOne) {
  SKIP_AGAINST_PGBOUNCER("has no such setting");
  Trireme trireme({.auth = "reject", .patch = {{"users", {{"app", {{"auth", "trust"}}}}}}});
  EXPECT_EQ(trireme.LoggedIn().Value("SELECT 1"), "1");
}

TEST(Login, AMd5SecretForScramIsRefusedAtStart) {
  SKIP_AGAINST_PGBOUNCER("finds out at login");
  EXPECT_THROW(Trireme(AuthOptions("scram-sha-256", Form::kMd5)), RigError);
}

// What a stranger can learn: each step of a refused login, the user's name removed.
std::string RefusedLogin(RawClient client, const std::string& user, const std::string& method) {
  client.Send(StartupPacket({{"user", user}, {"database", "app"}}));
  const Message demand = client.Read();
  std::string seen;
  if (method == "scram-sha-256") {
    seen = Hex(demand.body);
    const std::string first = "n,,n=,r=abcdefghijklmnopqr";
    client.Send(
        Bytes('p', CString("SCRAM-SHA-256") + Be32(static_cast<int64_t>(first.size())) + first));
    const std::string challenge = client.Read().body.substr(4);
    const size_t salt = challenge.find(",s=");
    const size_t iterations = challenge.find(",i=");
    seen += " salt characters " + std::to_string(iterations - salt) + challenge.substr(iterations);
    client.Send(
        Bytes('p', "c=biws," + challenge.substr(0, salt) + ",p=" + Base64(std::string(32, 'x'))));
  } else {
    seen = Hex(demand.body.substr(0, 4));
    client.Send(PasswordMessage("md5" + std::string(32, '0')));
  }
  for (const Message& message : client.ReadUntilClosed()) {
    std::string text = Describe(message);
    const size_t name = text.find(user);
    if (name != std::string::npos) text.replace(name, user.size(), "<user>");
    seen += " | " + text;
  }
  return seen;
}

class PasswordMethod : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Login, PasswordMethod,
                         ::testing::Values("password", "md5", "scram-sha-256"),
                         [](const auto& instance) {
                           return "Method" + std::to_string(instance.index);
                         });

TEST_P(PasswordMethod, DoesNotTellAnUnknownUserFromAWrongPassword) {
  Trireme trireme({.auth = GetParam()});
  EXPECT_EQ(RefusedLogin(trireme.Raw(), "stranger", GetParam()),
            RefusedLogin(trireme.Raw(), "app", GetParam()));
}

TEST_P(PasswordMethod, RefusesWithSqlstate28P01) {
  SKIP_AGAINST_PGBOUNCER("08P01 for everything");
  Trireme trireme({.auth = GetParam()});
  EXPECT_NE(RefusedLogin(trireme.Raw(), "app", GetParam()).find("FATAL 28P01"), std::string::npos);
}

TEST(Login, AnUnknownUserMeetsTheSameSaltEveryTime) {
  SKIP_AGAINST_PGBOUNCER("");
  Trireme trireme({.auth = "scram-sha-256"});
  std::vector<std::string> salts;
  for (int i = 0; i < 4; ++i) {  // connections land on different cores
    RawClient client = trireme.Raw();
    client.Send(StartupPacket({{"user", "stranger"}, {"database", "app"}}));
    client.Read();
    const std::string first = "n,,n=,r=abcdefghijklmnopqr";
    client.Send(
        Bytes('p', CString("SCRAM-SHA-256") + Be32(static_cast<int64_t>(first.size())) + first));
    const std::string challenge = client.Read().body;
    salts.push_back(challenge.substr(challenge.find(",s=")));
  }
  EXPECT_EQ(std::count(salts.begin(), salts.end(), salts[0]), 4);
}

TEST(Login, AnUnknownScramMechanismIsRefused) {
  Trireme trireme({.auth = "scram-sha-256"});
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"user", "app"}, {"database", "app"}}));
  client.Read();
  client.Send(Bytes('p', CString("SCRAM-SHA-1") + Be32(0)));
  EXPECT_EQ(Types(client.ReadUntilClosed()), "E");
}

TEST(Login, AClientThatSaysNothingIsSentAwayAfterTheLoginTimeout) {
  Trireme trireme({.patch = {{"timeouts", {{"client_login", "1s"}}}}});
  RawClient client = trireme.Raw();
  client.ReadUntilClosed();  // throws when that takes too long
}

TEST(Login, AClientThatWithholdsItsPasswordIsSentAwayAfterTheLoginTimeout) {
  Trireme trireme({.auth = "scram-sha-256", .patch = {{"timeouts", {{"client_login", "1s"}}}}});
  RawClient client = trireme.Raw();
  client.Send(StartupPacket({{"user", "app"}, {"database", "app"}}));
  EXPECT_EQ(client.Read().type, 'R');
  client.ReadUntilClosed();
}

TEST(Login, ManyClientsWithTheSamePasswordComeInTogether) {
  Trireme trireme({.auth = "scram-sha-256"});
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 40; ++i)
    connections.push_back(std::make_unique<Connection>(trireme.As("app")));
  for (auto& connection : connections) EXPECT_EQ(connection->Value("SELECT 1"), "1");
}

// ---- towards PostgreSQL

class ServerPassword : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Login, ServerPassword,
                         ::testing::Values("app", "app_trust", "app_password", "app_md5",
                                           "app_scram"),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(ServerPassword, IsGivenInTheWayTheServerAsks) {
  Trireme trireme;
  EXPECT_EQ(trireme.LoggedIn({.user = GetParam()}).Value("SELECT current_user"), GetParam());
}

TEST(Login, AMd5HashIsEnoughForAServerThatAsksForMd5) {
  Trireme trireme(
      {.patch = {
           {"users", {{"app_md5", {{"secret", Postgres::Shared().StoredSecret("app_md5")}}}}}}});
  EXPECT_EQ(trireme.LoggedIn({.user = "app_md5"}).Value("SELECT 1"), "1");
}

class PassThrough : public OnShards {};
ON_1_2_4_SHARDS(PassThrough);

TEST_P(PassThrough, UsesTheClientsScramKeysWhenOnlyTheVerifierIsKnown) {
  TriremeOptions options = Options();
  options.auth = "scram-sha-256";
  options.mode = "session";
  options.patch = {
      {"users", {{"app_scram", {{"secret", Postgres::Shared().StoredSecret("app_scram")}}}}}};
  Trireme trireme(options);
  std::vector<std::unique_ptr<Connection>> connections;
  for (int i = 0; i < 4; ++i) {
    connections.push_back(std::make_unique<Connection>(trireme.As("app_scram")));
    EXPECT_EQ(connections.back()->Value("SELECT current_user"), "app_scram");
  }
}

// A route whose clients share the storage user app_scram, of whom only the verifier is known.
TriremeOptions SharedUserOptions(int cores) {
  return {.cores = cores,
          .auth = "scram-sha-256",
          .patch = {{"users",
                     {{"app", {{"secret", Postgres::Shared().StoredSecret("app")}}},
                      {"app_scram", {{"secret", Postgres::Shared().StoredSecret("app_scram")}}}}},
                    {"routes",
                     {{{"database", "*"},
                       {"user", "*"},
                       {"storage", "main"},
                       {"storage_user", "app_scram"}}}}}};
}

TEST_P(PassThrough, GivesNoKeysOfOtherNamesToASharedUser) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  Trireme trireme(SharedUserOptions(GetParam()));
  const std::string refusal = RefusalOf(trireme.As("app"));
  for (const char* part : {"only a SCRAM verifier is known for user \"app_scram\"",
                           "route for database \"*\" and user \"*\"", "storage \"main\"",
                           "storage_user \"app_scram\"", "Set storage_secret of the route"}) {
    EXPECT_NE(refusal.find(part), std::string::npos) << part << " is not in: " << refusal;
  }
}

TEST(Login, KeysOfOtherNamesDoNotReplaceThoseOfTheSharedUser) {
  SKIP_AGAINST_PGBOUNCER("not translated");
  Trireme trireme(SharedUserOptions(1));
  Connection its_own(trireme.As("app_scram"));
  EXPECT_EQ(its_own.Value("SELECT current_user"), "app_scram");
  Connection other(trireme.As("app"));  // whose keys come after those that work
  Postgres::Shared().EndAllOthers();
  EXPECT_TRUE(Eventually([&] { return trireme.Show("SERVERS").empty(); }));
  EXPECT_EQ(other.Value("SELECT current_user"), "app_scram");
}

TEST(Login, AWrongServerPasswordIsTheServersOwnError) {
  Trireme trireme({.patch = {{"users", {{"app", {{"secret", "outdated"}}}}}}});
  const Message error = FirstErrorOf(trireme.Raw());
  EXPECT_EQ(ErrorField(error, 'C'), "28P01") << Describe(error);
  EXPECT_NE(ErrorField(error, 'M').find("password authentication failed for user \"app\""),
            std::string::npos)
      << Describe(error);
}

class SaltBytes : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Login, SaltBytes, ::testing::Values(1, 2, 3, 15, 16, 17, 64, 300),
                         ::testing::PrintToStringParamName());

TEST_P(SaltBytes, OfTheServersScramMayBeAnyNumber) {
  FakeServer server([](FakeSession& session) {
    session.DemandScram({.salt = std::string(static_cast<size_t>(GetParam()), '\xf0')});
    session.FinishLogin();
    session.EchoQueries();
  });
  Trireme trireme({.server_port = server.port()});
  EXPECT_EQ(trireme.LoggedIn().Value("hello"), "hello");
}

TEST(Login, AServerWithOneScramIterationIsServed) {
  FakeServer server([](FakeSession& session) {
    session.DemandScram({.iterations = 1});
    session.FinishLogin();
    session.EchoQueries();
  });
  Trireme trireme({.server_port = server.port()});
  EXPECT_EQ(trireme.LoggedIn().Value("hello"), "hello");
}

TEST(Login, AServerThatCannotProveItselfIsNotUsed) {
  FakeServer server([](FakeSession& session) {
    session.DemandScram({.lie_about_signature = true});
    session.FinishLogin();
    session.EchoQueries();
  });
  Trireme trireme({.server_port = server.port()});
  EXPECT_NE(ErrorField(FirstErrorOf(trireme.Raw()), 'C'), "");
}

TEST(Login, AServerThatAsksForKerberosIsRefusedWithAnError) {
  FakeServer server([](FakeSession& session) {
    session.Send(Authentication(7));
    session.Read();
  });
  Trireme trireme({.server_port = server.port()});
  EXPECT_NE(ErrorField(FirstErrorOf(trireme.Raw()), 'C'), "");
}

TEST(Login, AServerWithMd5AndCleartextGetsThem) {
  FakeServer server([](FakeSession& session) {
    if (session.startup().at("database") == "md5")
      session.DemandMd5("app", "secret-app", "\xff\1\2\3");
    if (session.startup().at("database") == "cleartext") session.DemandCleartext("secret-app");
    session.FinishLogin();
    session.EchoQueries();
  });
  Trireme trireme({.server_port = server.port()});
  EXPECT_EQ(trireme.LoggedIn({.database = "md5"}).Value("hello"), "hello");
  EXPECT_EQ(trireme.LoggedIn({.database = "cleartext"}).Value("hello"), "hello");
}

}  // namespace
}  // namespace trireme::e2e
