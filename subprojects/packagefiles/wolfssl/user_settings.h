/* SPDX-License-Identifier: GPL-3.0-or-later */
/* wolfSSL for the pooler: TLS 1.2 + 1.3, ECDHE only, no OpenSSL
 * compatibility layer, no session cache, no tickets. About 3 KB per connection. */
#ifndef TRIREME_WOLFSSL_USER_SETTINGS_H
#define TRIREME_WOLFSSL_USER_SETTINGS_H

/* protocol */
#define WOLFSSL_TLS13
#define NO_OLD_TLS
#define HAVE_TLS_EXTENSIONS
#define HAVE_SNI
#define HAVE_ALPN
#define HAVE_SUPPORTED_CURVES
#define HAVE_EXTENDED_MASTER
#define HAVE_ENCRYPT_THEN_MAC
#define HAVE_SERVER_RENEGOTIATION_INFO
/* not WOLFSSL_AEAD_ONLY: it also drops AES-CBC for "Proc-Type: 4,ENCRYPTED" PEM keys.
 * The cipher list set on every context names AEAD suites only. */
#define NO_SESSION_CACHE
#define NO_PSK
#define WOLFSSL_ALWAYS_VERIFY_CB      /* verify callback also on success: the peer's DER */

/* certificates */
#define HAVE_CRL
#define WOLFSSL_IP_ALT_NAME
#define WOLFSSL_ASN_TEMPLATE
#define WOLFSSL_ENCRYPTED_KEYS
#define WOLFSSL_BASE64_ENCODE
#define WOLFSSL_BASE16
#define NO_PKCS12

/* algorithms */
#ifndef HAVE_AESGCM
#define HAVE_AESGCM
#endif
#define GCM_TABLE_4BIT
#define HAVE_CHACHA
#define HAVE_POLY1305
#define HAVE_ONE_TIME_AUTH
#define HAVE_ECC
#define HAVE_ECC384
#define HAVE_ECC521
#define ECC_MIN_KEY_SZ 224
#define ECC_SHAMIR
#define ECC_TIMING_RESISTANT
#define TFM_TIMING_RESISTANT
#define HAVE_CURVE25519
#define HAVE_ED25519
#define WC_RSA_BLINDING
#define WC_RSA_PSS
#define WOLFSSL_PSS_LONG_SALT
#define HAVE_HKDF
#define HAVE_PBKDF2
#define HAVE_HASHDRBG
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512
#define WOLFSSL_NO_SHAKE128
#define WOLFSSL_NO_SHAKE256
#define NO_DH
#define NO_DSA
#define NO_DES3
#define NO_DES3_TLS_SUITES
#define NO_RC4
#define NO_MD4

/* mathematics */
#define WOLFSSL_SP_MATH_ALL
#define SP_INT_BITS 4096
#define WOLFSSL_HAVE_SP_RSA
#define WOLFSSL_HAVE_SP_ECC
#define WOLFSSL_SP_4096
#define WOLFSSL_SP_384
#define WOLFSSL_SP_521
#define WOLFSSL_SP_LARGE_CODE
#define SP_WORD_SIZE 64
#if defined(TRIREME_WOLF_X86_64_ASM)
  #ifndef WOLFSSL_X86_64_BUILD
  #define WOLFSSL_X86_64_BUILD
  #endif
  #define WOLFSSL_AESNI
  #define USE_INTEL_SPEEDUP
  #define HAVE_INTEL_AVX1
  #define HAVE_INTEL_AVX2
  #define WOLFSSL_USE_ALIGN
  #define WOLFSSL_SP_X86_64
  #define WOLFSSL_SP_ASM
  #define WOLFSSL_SP_X86_64_ASM
#elif defined(TRIREME_WOLF_ARM64_ASM)
  #define WOLFSSL_ARMASM
  #define WOLFSSL_SP_ARM64
  #define WOLFSSL_SP_ASM
  #define WOLFSSL_SP_ARM64_ASM
#endif

/* platform */
#define HAVE_THREAD_LS
#define HAVE___UINT128_T 1
#define WOLFSSL_HAVE_ATOMIC_H
#define HAVE_C___ATOMIC 1
#define WC_NO_ASYNC_THREADING
#define NO_ERROR_QUEUE
#define HAVE_GMTIME_R
#define HAVE_GETPID 1
#define SIZEOF_LONG 8
#define SIZEOF_LONG_LONG 8
#define WOLFSSL_SYS_CA_CERTS
#define NO_OLD_RNGNAME
#define NO_OLD_WC_NAMES
#define NO_OLD_SSL_NAMES
#define NO_OLD_SHA_NAMES
#define NO_OLD_MD5_NAME
#endif
