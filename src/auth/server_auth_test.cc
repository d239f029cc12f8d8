// SPDX-License-Identifier: GPL-3.0-or-later
#include "auth/server_auth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "auth/scram_server.h"
#include "auth/seeded_secret_random.h"

namespace trireme {
namespace {

using testing::HasSubstr;
using Step = ServerAuthenticator::Step;
using Kind = ServerAuthenticator::Step::Kind;
using enum AuthenticationCode;

constexpr char kVerifier[] =  // "hunter2"
    "SCRAM-SHA-256$2:cw==$hKgKoaruWHZ9dqX175afV5LfidozN/YOZaTp8/Apl9I=:"
    "6nSPlMpT5Ob3PSsV7hwmXiQZscCyorJfM4ke9wk0pIk=";
constexpr char kMd5Secret[] = "md5f1d6e2da5767fddc60c941cf0fa924cf";
constexpr std::string_view kMechanisms("SCRAM-SHA-256\0\0", 15);
constexpr std::string_view kSalt("\x01\x02\x03\xff", 4);

class ServerAuth : public testing::Test {
 protected:
  ServerAuthenticator& Login(std::string_view secret,
                             std::optional<ScramPassThrough> pass_through = {}) {
    auth_ = std::make_unique<ServerAuthenticator>(
        ServerAuthenticator::Setup{.user = "alice",
                                   .secret = *ParseStoredSecret(secret),
                                   .pass_through = std::move(pass_through)},
        AuthResources{.random = random_, .keys = cache_, .salts = salts_});
    return *auth_;
  }

  Step Feed(AuthenticationCode code, std::string_view payload = "") {
    return auth_->Feed(code, AsBytes(payload));
  }

  // The SCRAM exchange against a server that stores kVerifier, up to its last message.
  Step PlayScram(std::string_view mechanisms = kMechanisms) {
    derivations_ = 0;
    ScramServer server({.verifier = *ParseScramVerifier(kVerifier), .nonce = "servernonce"});
    Step step = Feed(kSasl, mechanisms);
    if (step.kind != Kind::kSend) return step;
    const std::string body(AsText(step.payload));
    EXPECT_EQ(body.substr(0, 14), std::string("SCRAM-SHA-256\0", 14));
    EXPECT_EQ(LoadBig32(step.payload.data() + 14), body.size() - 18);
    step = Feed(kSaslContinue, std::get<std::string>(server.OnClientFirst(body.substr(18))));
    if (step.kind == Kind::kNeedKeys) {
      ++derivations_;
      step = auth_->ProvideKeys(ScramKeyJob(auth_->key_request()).Run());
    }
    if (step.kind != Kind::kSend) return step;
    const ScramServer::Verdict verdict = server.OnClientFinal(AsText(step.payload));
    const auto* success = std::get_if<ScramServer::Success>(&verdict);
    server_final_ = success != nullptr ? success->server_final : "";
    return step;
  }

  SeededSecretRandom random_{9};
  ScramKeyCache cache_{16, Digest{}};
  SaltSecret salts_{Digest{}};
  std::unique_ptr<ServerAuthenticator> auth_;
  int derivations_ = 0;
  std::string server_final_;
};

ScramPassThrough PassThrough() {
  return {.keys = DeriveScramKeys("hunter2", "s", 2), .iterations = 2, .salt = "s"};
}

TEST_F(ServerAuth, AServerMayAskForNothing) {
  EXPECT_EQ(Login("").FeedBody(AsBytes(std::string_view("\0\0\0\0", 4))).kind, Kind::kSucceeded);
}

TEST_F(ServerAuth, SendsThePasswordAndItsZeroByte) {
  Login("hunter2");
  const Step step = Feed(kCleartextPassword);
  ASSERT_EQ(step.kind, Kind::kSend);
  EXPECT_EQ(AsText(step.payload), std::string_view("hunter2\0", 8));
  EXPECT_EQ(Feed(kOk).kind, Kind::kSucceeded);
}

TEST_F(ServerAuth, AnswersMd5FromPasswordAndFromHash) {
  for (const std::string_view secret : {"hunter2", kMd5Secret}) {
    Login(secret);
    const Step step = Feed(kMd5Password, kSalt);
    ASSERT_EQ(step.kind, Kind::kSend);
    EXPECT_EQ(AsText(step.payload), std::string_view("md582c07d7984f5c73cfe8e17a20bf39746\0", 36));
    EXPECT_EQ(Feed(kOk).kind, Kind::kSucceeded);
  }
}

TEST_F(ServerAuth, AnswersScramFromPasswordAndDerivesOnce) {
  for (const int derivations : {1, 0}) {
    Login("hunter2");
    ASSERT_EQ(PlayScram().kind, Kind::kSend);
    EXPECT_EQ(derivations_, derivations);
    EXPECT_EQ(Feed(kSaslFinal, server_final_).kind, Kind::kWait);
    EXPECT_EQ(Feed(kOk).kind, Kind::kSucceeded);
  }
}

TEST_F(ServerAuth, AnswersScramWithAClientsKeys) {
  for (const std::string_view secret : {kVerifier, kMd5Secret, ""}) {
    Login(secret, PassThrough());
    ASSERT_EQ(PlayScram().kind, Kind::kSend);
    EXPECT_EQ(derivations_, 0);
    EXPECT_EQ(Feed(kSaslFinal, server_final_).kind, Kind::kWait);
    EXPECT_EQ(Feed(kOk).kind, Kind::kSucceeded);
  }
}

TEST_F(ServerAuth, ChoosesScramFromALongerList) {
  Login("hunter2");
  EXPECT_EQ(
      PlayScram(std::string_view("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0OAUTHBEARER\0\0", 46)).kind,
      Kind::kSend);
  EXPECT_EQ(Feed(kSaslFinal, server_final_).kind, Kind::kWait);
}

TEST_F(ServerAuth, RefusesPassThroughToAServerWithAnotherVerifier) {
  ScramPassThrough other = PassThrough();
  other.iterations = 3;
  Login(kVerifier, other);
  EXPECT_EQ(PlayScram().kind, Kind::kFailed);
  EXPECT_THAT(auth_->failure().error.message, HasSubstr("another salt or iteration count"));
  Login("hunter2", other);
  EXPECT_EQ(PlayScram().kind, Kind::kSend) << "the password helps";
}

TEST_F(ServerAuth, SaysWhatItHoldsAndWhatIsAsked) {
  struct Case {
    std::string_view secret;
    AuthenticationCode code;
    std::string_view payload;
    std::string_view message;
  };
  for (const Case& c : std::vector<Case>{
           {"", kCleartextPassword, "", "asks for the cleartext password, but no secret is known"},
           {kMd5Secret, kCleartextPassword, "", "but only an md5 hash is known for user \"alice\""},
           {kVerifier, kCleartextPassword, "", "but only a SCRAM verifier is known"},
           {"", kMd5Password, kSalt, "asks for an md5 password, but no secret"},
           {kVerifier, kMd5Password, kSalt, "but only a SCRAM verifier is known"},
           {"", kSasl, kMechanisms, "asks for SCRAM-SHA-256, but no secret"},
           {kMd5Secret, kSasl, kMechanisms, "asks for SCRAM-SHA-256, but only an md5 hash"},
           {kVerifier, kSasl, kMechanisms, "asks for SCRAM-SHA-256, but only a SCRAM verifier"},
       }) {
    Login(c.secret);
    EXPECT_EQ(Feed(c.code, c.payload).kind, Kind::kFailed);
    EXPECT_THAT(auth_->failure().error.message, HasSubstr(std::string(c.message)));
    EXPECT_EQ(auth_->failure().error.sqlstate, "28000");
    EXPECT_NE(auth_->failure().error.hint, "");
  }
}

TEST_F(ServerAuth, NamesMethodsItDoesNotKnow) {
  struct Case {
    AuthenticationCode code;
    std::string_view payload;
    std::string_view name;
  };
  for (const Case& c : std::vector<Case>{
           {kKerberosV5, "", "Kerberos V5"},
           {kScmCredential, "", "SCM credentials"},
           {kGss, "", "GSSAPI"},
           {kGssContinue, "x", "GSSAPI"},
           {kSspi, "", "SSPI"},
           {static_cast<AuthenticationCode>(77), "", "authentication request 77"},
           {kSasl, std::string_view("\0", 1), "SASL with no mechanism"},
           {kSasl, std::string_view("SCRAM-SHA-256-PLUS\0OAUTHBEARER\0\0", 32),
            "SASL with SCRAM-SHA-256-PLUS, OAUTHBEARER"},
       }) {
    Login("hunter2");
    EXPECT_EQ(Feed(c.code, c.payload).kind, Kind::kFailed);
    EXPECT_THAT(auth_->failure().error.message, HasSubstr(std::string(c.name)));
    EXPECT_EQ(auth_->failure().error.sqlstate, "0A000");
  }
}

TEST_F(ServerAuth, RefusesMalformedRequests) {
  struct Case {
    AuthenticationCode code;
    std::string_view payload;
  };
  for (const Case& c : std::vector<Case>{
           {kOk, "x"},
           {kCleartextPassword, "x"},
           {kMd5Password, ""},
           {kMd5Password, "abc"},
           {kMd5Password, "abcde"},
           {kSasl, ""},
           {kSasl, "SCRAM-SHA-256"},
           {kSasl, std::string_view("SCRAM-SHA-256\0", 14)},
           {kSasl, std::string_view("SCRAM-SHA-256\0\0x", 16)},
           {kSaslContinue, "r=x,s=eA==,i=1"},
           {kSaslFinal, "v=x"},
       }) {
    Login("hunter2");
    EXPECT_EQ(Feed(c.code, c.payload).kind, Kind::kFailed);
    EXPECT_EQ(auth_->failure().error.sqlstate, "08P01");
  }
  for (const size_t size : {0u, 1u, 3u}) {
    EXPECT_EQ(Login("hunter2").FeedBody(AsBytes(std::string(size, '\0'))).kind, Kind::kFailed);
  }
}

TEST_F(ServerAuth, AnswersOneMethodOnce) {
  for (const auto& [code, payload] : std::vector<std::pair<AuthenticationCode, std::string_view>>{
           {kCleartextPassword, ""}, {kMd5Password, kSalt}, {kSasl, kMechanisms}}) {
    Login("hunter2");
    ASSERT_EQ(Feed(kMd5Password, kSalt).kind, Kind::kSend);
    EXPECT_EQ(Feed(code, payload).kind, Kind::kFailed);
  }
  Login("hunter2");
  ASSERT_EQ(Feed(kSasl, kMechanisms).kind, Kind::kSend);
  EXPECT_EQ(Feed(kCleartextPassword).kind, Kind::kFailed) << "a downgrade";
}

TEST_F(ServerAuth, DoesNotBelieveAServerThatSkipsItsProof) {
  Login("hunter2");
  ASSERT_EQ(Feed(kSasl, kMechanisms).kind, Kind::kSend);
  EXPECT_EQ(Feed(kOk).kind, Kind::kFailed);
  Login("hunter2");
  ASSERT_EQ(PlayScram().kind, Kind::kSend);
  EXPECT_EQ(Feed(kOk).kind, Kind::kFailed);
  EXPECT_THAT(auth_->failure().error.message, HasSubstr("without having proven"));
  Login("hunter2");
  ASSERT_EQ(PlayScram().kind, Kind::kSend);
  EXPECT_EQ(Feed(kSaslFinal, "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").kind, Kind::kFailed);
}

TEST_F(ServerAuth, RefusesAServerThatGoesOnWhileKeysAreDerived) {
  Login("hunter2");
  ScramServer server({.verifier = *ParseScramVerifier(kVerifier), .nonce = "servernonce"});
  const std::string body(AsText(Feed(kSasl, kMechanisms).payload));
  const auto first = server.OnClientFirst(body.substr(18));
  ASSERT_EQ(Feed(kSaslContinue, std::get<std::string>(first)).kind, Kind::kNeedKeys);
  EXPECT_EQ(Feed(kOk).kind, Kind::kFailed);
}

}  // namespace
}  // namespace trireme
