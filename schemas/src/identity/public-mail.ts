/**
 * Domains at which everybody can have an address: nobody can claim them. A claim needs a record in the domain's DNS, which their
 * owners alone could set; this list is for the case that one of them would.
 */
const publicMailDomains: ReadonlySet<string> = new Set(
  `gmail.com googlemail.com outlook.com outlook.de outlook.fr outlook.jp hotmail.com hotmail.co.uk hotmail.de hotmail.fr hotmail.it
  hotmail.es live.com live.co.uk live.de live.fr live.nl msn.com passport.com yahoo.com yahoo.co.uk yahoo.co.in yahoo.co.jp
  yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.com.au yahoo.com.br yahoo.com.mx ymail.com rocketmail.com aol.com aim.com
  icloud.com me.com mac.com privaterelay.appleid.com proton.me protonmail.com protonmail.ch pm.me tutanota.com tutanota.de
  tuta.io tuta.com keemail.me gmx.com gmx.de gmx.net gmx.at gmx.ch web.de mail.com email.com usa.com post.com t-online.de
  freenet.de arcor.de posteo.de mailbox.org fastmail.com fastmail.fm hey.com zoho.com zohomail.com yandex.com yandex.ru ya.ru
  mail.ru bk.ru inbox.ru list.ru internet.ru rambler.ru qq.com foxmail.com 163.com 126.com yeah.net sina.com sina.cn sohu.com
  139.com 189.cn aliyun.com naver.com daum.net hanmail.net nate.com rediffmail.com orange.fr wanadoo.fr free.fr laposte.net
  sfr.fr libero.it virgilio.it tiscali.it alice.it tin.it terra.com.br uol.com.br bol.com.br ig.com.br seznam.cz centrum.cz
  wp.pl o2.pl onet.pl interia.pl op.pl bluewin.ch hispeed.ch ziggo.nl kpnmail.nl xs4all.nl telenet.be skynet.be btinternet.com
  sky.com virginmedia.com ntlworld.com talktalk.net comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net
  charter.net earthlink.net juno.com optonline.net shaw.ca rogers.com sympatico.ca telus.net bigpond.com optusnet.com.au
  xtra.co.nz docomo.ne.jp ezweb.ne.jp softbank.ne.jp mailinator.com guerrillamail.com 10minutemail.com yopmail.com
  trashmail.com temp-mail.org sharklasers.com duck.com simplelogin.com relay.firefox.com mozmail.com`.split(/\s+/),
)

/** Whether everybody can have an address there. */
export const isPublicMailDomain = (domain: string): boolean => publicMailDomains.has(domain)
