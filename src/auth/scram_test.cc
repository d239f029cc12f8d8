// SPDX-License-Identifier: GPL-3.0-or-later
//
// Both sides of SCRAM-SHA-256: the example of RFC 7677, each against refusals, and against each
// other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "auth/scram_client.h"
#include "auth/scram_server.h"
#include "auth/seeded_secret_random.h"
#include "auth/stored_secret.h"

namespace trireme {
namespace {

using testing::HasSubstr;

// RFC 7677 section 3: user "user", password "pencil".
constexpr char kClientNonce[] = "rOprNGfwEbeRWgbNEkqO";
constexpr char kServerNonce[] = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr char kClientFirst[] = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
constexpr char kServerFirst[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr char kClientFinal[] =
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
constexpr char kServerFinal[] = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
constexpr char kVerifier[] =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

const ScramKeys& PencilKeys() {
  static const ScramKeys keys =
      DeriveScramKeys("pencil", *Base64Decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096);
  return keys;
}

ScramServer::Setup RfcServer(ScramServer::Kind kind = ScramServer::Kind::kReal) {
  return {.verifier = *ParseScramVerifier(kVerifier), .kind = kind, .nonce = kServerNonce};
}

bool IsError(const PgResult<ScramClient::Challenge>& result) {
  return std::holds_alternative<PgError>(result);
}

TEST(ScramClient, SpeaksTheExampleOfRfc7677) {
  ScramClient client({.nonce = kClientNonce, .user = "user"});
  EXPECT_EQ(client.client_first(), kClientFirst);
  const auto result = client.OnServerFirst(kServerFirst);
  const auto* challenge = std::get_if<ScramClient::Challenge>(&result);
  ASSERT_NE(challenge, nullptr);
  EXPECT_EQ(Base64Encode(AsBytes(challenge->salt)), "W22ZaJ0SNY7soEsUEjb6gQ==");
  EXPECT_EQ(challenge->iterations, 4096u);
  EXPECT_EQ(client.ProvideKeys(PencilKeys()), kClientFinal);
  EXPECT_FALSE(client.verified());
  EXPECT_EQ(client.OnServerFinal(kServerFinal), std::nullopt);
  EXPECT_TRUE(client.verified());
}

TEST(ScramServer, SpeaksTheExampleOfRfc7677) {
  ScramServer server(RfcServer());
  EXPECT_EQ(std::get<std::string>(server.OnClientFirst(kClientFirst)), kServerFirst);
  const ScramServer::Verdict verdict = server.OnClientFinal(kClientFinal);
  const auto* success = std::get_if<ScramServer::Success>(&verdict);
  ASSERT_NE(success, nullptr);
  EXPECT_EQ(success->server_final, kServerFinal);
  EXPECT_EQ(success->client_key, PencilKeys().client_key);
}

TEST(ScramServer, TakesKeysLaterForAVerifierMadeFromAPassword) {
  ScramServer::Setup setup = RfcServer();
  setup.verifier.stored_key = setup.verifier.server_key = {};
  ScramServer server(setup);
  EXPECT_EQ(std::get<std::string>(server.OnClientFirst(kClientFirst)), kServerFirst);
  server.ProvideKeys(PencilKeys());
  EXPECT_TRUE(std::holds_alternative<ScramServer::Success>(server.OnClientFinal(kClientFinal)));
}

TEST(ScramServer, AMockFailsEvenWithTheRightProof) {
  ScramServer server(RfcServer(ScramServer::Kind::kMock));
  EXPECT_EQ(std::get<std::string>(server.OnClientFirst(kClientFirst)), kServerFirst);
  EXPECT_TRUE(std::holds_alternative<ScramServer::WrongProof>(server.OnClientFinal(kClientFinal)));
}

TEST(ScramClient, EscapesTheUserName) {
  EXPECT_EQ(ScramClient({.nonce = "x", .user = "a,b=c"}).client_first(), "n,,n=a=2Cb=3Dc,r=x");
}

TEST(ScramClient, RefusesAMalformedServerFirst) {
  const std::string long_salt = "r=abcX,s=" + std::string(70000, 'A') + ",i=1";
  for (const std::string& text :
       std::vector<std::string>{"",
                                "r",
                                "r=",
                                "r=abc,s=eA==,i=1",  // nonce not continued
                                "r=xbcX,s=eA==,i=1",
                                "r=ab",
                                "r=abX,s=eA==,i=1",  // nonce not ours
                                "r=abcX",
                                "r=abcX,",
                                "r=abcX,s=eA==",
                                "r=abcX,s=eA==,",
                                "r=abcX,i=1,s=eA==",
                                "s=eA==,r=abcX,i=1",
                                "r=abcX,s=eA=,i=1",
                                "r=abcX,s=eB==,i=1",
                                "r=abcX,s= eA==,i=1",
                                "r=abcX,s=eA==,i=",
                                "r=abcX,s=eA==,i=0",
                                "r=abcX,s=eA==,i=-1",
                                "r=abcX,s=eA==,i=+1",
                                "r=abcX,s=eA==,i=1x",
                                "r=abcX,s=eA==,i=10000001",
                                "r=abcX,s=eA==,i=4294967297",
                                "r=abcX,s=eA==,i=99999999999999999999",
                                "r=abcX,s=eA==,i=1,",
                                "r=abcX,s=eA==,i=1,x=y",
                                "m=z,r=abcX,s=eA==,i=1",
                                "r=abc\x01,s=eA==,i=1",
                                "r=abc X,s=eA==,i=1",
                                "r=abc\xc3\xa9,s=eA==,i=1",
                                std::string("r=abcX\0,s=eA==,i=1", 18),
                                "e=other-error",
                                "v=eA==",
                                long_salt}) {
    ScramClient client({.nonce = "abc"});
    const auto result = client.OnServerFirst(text);
    ASSERT_TRUE(IsError(result)) << text;
    EXPECT_EQ(std::get<PgError>(result).sqlstate, "08P01");
    EXPECT_TRUE(IsError(client.OnServerFirst("r=abcX,s=eA==,i=1"))) << "no second try";
  }
}

TEST(ScramClient, TakesSaltsOfAnyLengthAndIterationsUpToTheBound) {
  for (const std::string_view salt : {"", "eA==", "eHg=", "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4"}) {
    ScramClient client({.nonce = "abc"});
    const auto result = client.OnServerFirst("r=abcX,s=" + std::string(salt) + ",i=10000000");
    ASSERT_FALSE(IsError(result));
    EXPECT_EQ(std::get<ScramClient::Challenge>(result).salt, *Base64Decode(salt));
    EXPECT_EQ(std::get<ScramClient::Challenge>(result).iterations, 10'000'000u);
  }
}

TEST(ScramClient, RefusesServerFirstCutOffAnywhereBeforeTheCount) {
  const std::string_view whole = kServerFirst;
  for (size_t size = 0; size <= whole.size() - 4; ++size) {  // "4", "40".. are counts too
    ScramClient client({.nonce = kClientNonce});
    EXPECT_TRUE(IsError(client.OnServerFirst(whole.substr(0, size)))) << size;
  }
}

TEST(ScramClient, RefusesAServerThatDoesNotProveItself) {
  std::vector<std::string> texts = {
      "",
      "v=",
      "v=AAAA",
      "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
      "x=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
      std::string(kServerFinal) + ",x=y",
      std::string(kServerFinal) + ",",
      std::string(kServerFinal) + "\n",
      "v=" + std::string(70000, 'A'),
  };
  for (size_t size = 0; size < sizeof kServerFinal - 1; ++size) {
    texts.emplace_back(kServerFinal, size);
  }
  for (const std::string& text : texts) {
    ScramClient client({.nonce = kClientNonce, .user = "user"});
    ASSERT_FALSE(IsError(client.OnServerFirst(kServerFirst)));
    ASSERT_EQ(client.ProvideKeys(PencilKeys()), kClientFinal);
    EXPECT_NE(client.OnServerFinal(text), std::nullopt) << text;
    EXPECT_FALSE(client.verified());
    EXPECT_NE(client.OnServerFinal(kServerFinal), std::nullopt) << "no second try";
  }
}

TEST(ScramClient, ReportsTheServersOwnError) {
  ScramClient client({.nonce = kClientNonce, .user = "user"});
  ASSERT_FALSE(IsError(client.OnServerFirst(kServerFirst)));
  client.ProvideKeys(PencilKeys());
  EXPECT_THAT(client.OnServerFinal("e=invalid-proof\x01")->message,
              HasSubstr("\"invalid-proof?\""));
}

TEST(ScramClient, RefusesMessagesOutOfOrder) {
  ScramClient client({.nonce = kClientNonce, .user = "user"});
  EXPECT_NE(client.OnServerFinal(kServerFinal), std::nullopt);
  ScramClient twice({.nonce = kClientNonce, .user = "user"});
  ASSERT_FALSE(IsError(twice.OnServerFirst(kServerFirst)));
  EXPECT_TRUE(IsError(twice.OnServerFirst(kServerFirst)));
}

struct Refusal {
  std::string text;
  std::string message;
  std::string sqlstate = "08P01";
};

TEST(ScramServer, RefusesClientFirstAsPostgresDoes) {
  const std::string malformed = "malformed SCRAM message";
  for (const Refusal& c : std::vector<Refusal>{
           {"", malformed},
           {"n", malformed},
           {"n,", malformed},
           {"n,,", malformed},
           {"x,,n=,r=abc", malformed},
           {"n,x,n=,r=abc", malformed},
           {"n,,r=abc", malformed},
           {"n,,n=", malformed},
           {"n,,n=,", malformed},
           {"n,,n=,r", malformed},
           {"n,,n=,r=", malformed},
           {"n,,n=,r=a b", malformed},
           {"n,,n=,r=a\x7f", malformed},
           {"n,,n=,r=\xc3\xa9", malformed},
           {std::string("n,,n=,r=a\0b", 11), malformed},
           {"n,,r=abc,n=", malformed},
           {"n,,n=,r=abc,", malformed},
           {"n,,n=,r=abc,xyz", malformed},
           {"n,,n=,r=abc,1=z", malformed},
           {"n,,n=,r=" + std::string(70000, 'a'), malformed},
           {"p=tls-server-end-point,,n=,r=abc",
            "channel binding is not supported on this connection"},
           {"n,,m=x,n=,r=abc", "client requires an unsupported SCRAM extension"},
           {"n,a=bob,n=,r=abc", "client uses authorization identity, but it is not supported",
            "0A000"},
       }) {
    ScramServer server(RfcServer());
    const auto result = server.OnClientFirst(c.text);
    const auto* error = std::get_if<PgError>(&result);
    ASSERT_NE(error, nullptr) << c.text;
    EXPECT_EQ(error->message, c.message) << c.text;
    EXPECT_EQ(error->sqlstate, c.sqlstate) << c.text;
    EXPECT_EQ(error->severity, "FATAL");
  }
}

TEST(ScramServer, PassesOverOptionalExtensionsAndAnyUserName) {
  for (const std::string_view text :
       {"n,,n=,r=abc", "y,,n=,r=abc", "n,,n=anyone,r=abc", "n,,n=,r=abc,x=1,y=2"}) {
    ScramServer server(RfcServer());
    EXPECT_TRUE(std::holds_alternative<std::string>(server.OnClientFirst(text))) << text;
  }
}

TEST(ScramServer, RefusesClientFinalAsPostgresDoes) {
  const std::string malformed = "malformed SCRAM message";
  const std::string binding = "unexpected SCRAM channel-binding attribute in client-final-message";
  const std::string nonce = std::string("r=") + kClientNonce + kServerNonce;
  const std::string proof = "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  for (const Refusal& c : std::vector<Refusal>{
           {"", malformed},
           {nonce + "," + proof, malformed},
           {"c=eSws," + nonce + "," + proof, binding},  // 'y' in place of 'n': a downgrade
           {"c=cD10bHMsLA==," + nonce + "," + proof, binding},
           {"c=," + nonce + "," + proof, binding},
           {"c=biws," + proof, malformed},
           {"c=biws,r=wrong," + proof, "invalid SCRAM response"},
           {std::string("c=biws,r=") + kClientNonce + "," + proof, "invalid SCRAM response"},
           {"c=biws," + nonce + "x," + proof, "invalid SCRAM response"},
           {"c=biws," + nonce, malformed},
           {"c=biws," + nonce + ",", malformed},
           {"c=biws," + nonce + ",x=y", malformed},
           {"c=biws," + nonce + ",p=", malformed},
           {"c=biws," + nonce + ",p=AAAA", malformed},
           {"c=biws," + nonce + "," + proof + ",x=y", malformed},
           {"c=biws," + nonce + "," + proof + ",", malformed},
           {"c=biws," + nonce + "," + proof + "\n", malformed},
           {"c=biws," + nonce + ",x=" + std::string(70000, 'a') + "," + proof, malformed},
       }) {
    ScramServer server(RfcServer());
    ASSERT_TRUE(std::holds_alternative<std::string>(server.OnClientFirst(kClientFirst)));
    const ScramServer::Verdict verdict = server.OnClientFinal(c.text);
    const auto* error = std::get_if<PgError>(&verdict);
    ASSERT_NE(error, nullptr) << c.text;
    EXPECT_EQ(error->message, c.message) << c.text;
    EXPECT_EQ(error->sqlstate, c.sqlstate);
  }
}

TEST(ScramServer, NeverAcceptsAMessageCutOffOrAltered) {
  const std::string whole = kClientFinal;
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string altered = whole;
    altered[i] = altered[i] == 'A' ? 'B' : 'A';
    for (const std::string& text : {whole.substr(0, i), altered}) {
      ScramServer server(RfcServer());
      ASSERT_TRUE(std::holds_alternative<std::string>(server.OnClientFirst(kClientFirst)));
      EXPECT_FALSE(std::holds_alternative<ScramServer::Success>(server.OnClientFinal(text)))
          << text;
    }
  }
  for (size_t size = 0; size < sizeof kClientFirst - 1; ++size) {
    ScramServer server(RfcServer());  // a shorter nonce is a nonce: then the proof cannot fit
    const std::string first(kClientFirst, size);
    if (std::holds_alternative<PgError>(server.OnClientFirst(first))) continue;
    EXPECT_FALSE(std::holds_alternative<ScramServer::Success>(server.OnClientFinal(whole)));
  }
}

TEST(Scram, ClientAndServerAgreeOnRandomInputs) {
  SeededSecretRandom secrets(42);
  Random random(42);
  for (int round = 0; round < 200; ++round) {
    std::string password(1 + random.Below(80), '\0'), salt(1 + random.Below(60), '\0');
    ASSERT_TRUE(
        secrets.Fill({reinterpret_cast<std::byte*>(password.data()), password.size()}).ok());
    ASSERT_TRUE(secrets.Fill({reinterpret_cast<std::byte*>(salt.data()), salt.size()}).ok());
    const auto iterations = static_cast<uint32_t>(1 + random.Below(5));
    const ScramKeys keys = DeriveScramKeys(password, salt, iterations);
    ScramServer server({.verifier = {.iterations = iterations,
                                     .salt = salt,
                                     .stored_key = StoredKeyOf(keys.client_key),
                                     .server_key = keys.server_key},
                        .nonce = *MakeScramNonce(secrets)});
    ScramClient client({.nonce = *MakeScramNonce(secrets)});
    const auto server_first = server.OnClientFirst(client.client_first());
    ASSERT_TRUE(std::holds_alternative<std::string>(server_first)) << round;
    const auto challenge = client.OnServerFirst(std::get<std::string>(server_first));
    ASSERT_FALSE(IsError(challenge)) << round;
    const ScramServer::Verdict verdict = server.OnClientFinal(client.ProvideKeys(keys));
    const auto* success = std::get_if<ScramServer::Success>(&verdict);
    ASSERT_NE(success, nullptr) << round;
    EXPECT_EQ(success->client_key, keys.client_key);
    EXPECT_EQ(client.OnServerFinal(success->server_final), std::nullopt) << round;
  }
}

TEST(Scram, NoncesAreTwentyFourCharactersAndDiffer) {
  SeededSecretRandom random(3);
  const std::string first = *MakeScramNonce(random), second = *MakeScramNonce(random);
  EXPECT_EQ(first.size(), 24u);
  EXPECT_TRUE(IsScramNonce(first));
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace trireme
